import { aligned } from '../compiler/memoryPlanner.ts';
import type { Program } from '../compiler/program.ts';
import { ProgramReader } from '../compiler/reader.ts';
import type { Device, DeviceBuffer, DevicePlanReport, MemoryUse, Run } from '../device.ts';
import { allocate, byteSize, type DType, dtypes, roundTo, type StorageArray } from '../dtype.ts';
import { TensorError } from '../errors.ts';
import { indexError } from '../executor/indexError.ts';
import { MemoryMeter } from '../executor/memoryMeter.ts';
import { placedBuffer } from '../executor/placedBuffer.ts';
import { PlanCache } from '../executor/planCache.ts';
import { describe, type Tensor } from '../tensor.ts';
import type { MemoryImport } from './assembler/module.ts';
import { hasRelaxedSimd } from './assembler/relaxed.ts';
import { contractionModule } from './contractions/module.ts';
import { type Base, compilePlan, type Plan } from './plan.ts';
import { Heap, mostPages } from './runtime/heap.ts';
import { CallingThread, canShareMemory, checkThreads, defaultThreadCount, type Threads } from './runtime/threads.ts';
import { WorkerThreads } from './runtime/workerThreads.ts';
import { laneDType } from './simd/lanes.ts';

class WasmBuffer implements DeviceBuffer {
  readonly dtype: DType;
  readonly address: number;
  readonly byteLength: number;
  freed = false;

  constructor(dtype: DType, address: number, byteLength: number) {
    this.dtype = dtype;
    this.address = address;
    this.byteLength = byteLength;
  }
}

/** Nanoseconds that go by until workers are awake and have been heard from, and until they have met after a phase. */
const smallRun = 60_000;
const smallPhase = 6_000;

interface ReadyPlan {
  readonly id: number;
  readonly plan: Plan;
}

/** Memory for a run. */
interface Places {
  readonly results: readonly WasmBuffer[];
  /** Those of the results that are new, */
  readonly made: readonly WasmBuffer[];
  /** and the leaves whose memory the others take, once the run has succeeded. */
  readonly taken: readonly WasmBuffer[];
  readonly addresses: readonly number[];
}

export interface WasmOptions {
  /** Default: `DIFFUSION_DPO_THREADS`, else one for each core. */
  readonly threads?: number;
  /** Whether operators share kernels; default true. */
  readonly fuse?: boolean;
  /** How many compiled plans are kept; default 256. */
  readonly plans?: number;
}

/** The WebAssembly executor: graphs compiled to SIMD kernels over one linear memory. */
export class WasmDevice implements Device {
  readonly name = 'wasm';
  readonly description: string;
  readonly dtypes: ReadonlySet<DType> = new Set(dtypes);
  readonly #heap: Heap;
  readonly #memoryImport: MemoryImport;
  readonly #threads: Threads;
  readonly #fuse: boolean;
  readonly #plans: PlanCache<ReadyPlan>;
  readonly #programs = new ProgramReader();
  readonly #meter = new MemoryMeter();
  #compiled = 0;

  private constructor(
    heap: Heap,
    memoryImport: MemoryImport,
    threads: Threads,
    { fuse = true, plans = 256 }: WasmOptions,
  ) {
    this.#heap = heap;
    this.#memoryImport = memoryImport;
    this.#threads = threads;
    this.#fuse = fuse;
    this.#plans = new PlanCache(plans, ({ id }) => threads.unload(id));
    const speed = hasRelaxedSimd() ? 'relaxed SIMD' : 'SIMD';
    this.description = `wasm: WebAssembly ${speed}, ${threads.count} ${threads.count === 1 ? 'thread' : 'threads'}`;
  }

  /** Opens a device with that many threads. Without shared memory there is one, the caller's. */
  static async open(options: WasmOptions = {}): Promise<WasmDevice> {
    const { threads = defaultThreadCount() } = options;
    checkThreads('threads', threads);
    const shared = canShareMemory();
    const limits: MemoryImport = { initial: 16, maximum: mostPages, shared };
    const heap = new Heap(new WebAssembly.Memory({ initial: 16, maximum: mostPages, shared }));
    const contractions = await WebAssembly.compile(contractionModule({ relaxed: hasRelaxedSimd(), memory: limits }));
    const runner = shared
      ? new WorkerThreads(threads, heap.memory, contractions)
      : new CallingThread(heap.memory, contractions);
    return new WasmDevice(heap, limits, runner, options);
  }

  /** Threads that compute. */
  get threads(): number {
    return this.#threads.count;
  }

  /** How many plans have been compiled so far. */
  get plansCompiled(): number {
    return this.#compiled;
  }

  close(): void {
    this.#threads.close();
  }

  upload(dtype: DType, storage: StorageArray): DeviceBuffer {
    const buffer = this.#hold(dtype, storage.byteLength, () => `${storage.length} numbers of ${dtype} from the host`);
    this.#bytes(buffer).set(new Uint8Array(storage.buffer, storage.byteOffset, storage.byteLength));
    return buffer;
  }

  prepare(run: Pick<Run, 'order' | 'outputs'>): void {
    this.#programs.of(run);
  }

  async run(run: Run): Promise<readonly DeviceBuffer[]> {
    return (await this.#execute(run)).results;
  }

  async plan(run: Run, timed: boolean): Promise<DevicePlanReport> {
    const { plan } = await this.#planFor(this.#programs.of(run));
    const reports = plan.tasks.map(({ report }) => report);
    const summary = { device: this.description, workingBytes: plan.arenaBytes };
    if (!timed) return { ...summary, kernels: reports };
    const { results, times } = await this.#execute(run);
    for (const buffer of results) this.free(buffer);
    let phase = 0;
    const kernels = plan.tasks.map(({ report, phases }) => {
      const spent = times.slice(phase, phase + phases).reduce((sum, time) => sum + time, 0);
      phase += phases;
      return { ...report, milliseconds: spent };
    });
    return { ...summary, kernels };
  }

  async #execute(run: Run): Promise<{ results: readonly WasmBuffer[]; times: readonly number[] }> {
    const { outputs, donated } = run;
    const program = this.#programs.of(run);
    const { id, plan } = await this.#planFor(program);
    const leaves = program.leaves.map((tensor) => own(placedBuffer(this.name, tensor)));
    const scratchBytes = aligned(plan.threadScratchBytes);
    const pieces = [
      { bytes: plan.table.bytes, what: () => 'the table of a run' },
      { bytes: plan.arenaBytes, what: () => intermediates(plan) },
      { bytes: scratchBytes * this.#threads.count, what: () => `what ${this.#threads.count} threads work in` },
    ];
    const { results, made, taken, addresses } = this.#place(plan, outputs, leaves, donated, pieces);
    const [table, arena, scratch] = addresses as [number, number, number];
    const working = pieces.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#meter.add(working, 0);
    try {
      this.#fillTable(program, plan, { table, arena, leaves, results });
      const times = await this.#threads.run(id, table, scratch, scratchBytes);
      this.#checkIndices(plan, table);
      for (const leaf of taken) leaf.freed = true;
      // What is a leaf, or an output twice, has no kernel to write it.
      program.outputs.forEach((value, i) => {
        const source = value.primitive === 'leaf' ? leaves[value.slot] : results[program.outputs.indexOf(value)];
        const target = results[i] as WasmBuffer;
        if (source !== undefined && source !== target) this.#bytes(target).set(this.#bytes(source));
      });
      return { results, times };
    } catch (error) {
      for (const buffer of made) this.free(buffer);
      throw error;
    } finally {
      addresses.forEach((address, i) => {
        this.#heap.free(address, pieces[i]?.bytes as number);
      });
      this.#meter.add(-working, 0);
    }
  }

  /**
   * Buffers for the outputs: those of leaves that are given up where they fit, else new ones; and addresses of further
   * pieces. Where there is no room, everything is as before.
   */
  #place(
    plan: Plan,
    outputs: readonly Tensor[],
    leaves: readonly WasmBuffer[],
    donated: ReadonlySet<DeviceBuffer>,
    pieces: readonly { readonly bytes: number; readonly what: () => string }[],
  ): Places {
    const leaf = (slot: number): WasmBuffer => leaves[slot] as WasmBuffer;
    const slots = plan.aliasing.assign((slot) => donated.has(leaf(slot)));
    const [made, taken]: [WasmBuffer[], WasmBuffer[]] = [[], []];
    const addresses: number[] = [];
    const place = (tensor: Tensor, slot: number | undefined): WasmBuffer => {
      const { dtype } = tensor;
      const bytes = tensor.size * byteSize[dtype];
      if (slot === undefined) {
        const buffer = this.#hold(dtype, bytes, () => describe(tensor));
        made.push(buffer);
        return buffer;
      }
      taken.push(leaf(slot));
      return new WasmBuffer(dtype, leaf(slot).address, bytes);
    };
    try {
      const results = outputs.map((tensor, i) => place(tensor, slots[i]));
      for (const { bytes, what } of pieces) addresses.push(this.#heap.allocate(bytes, what));
      return { results, made, taken, addresses };
    } catch (error) {
      for (const buffer of made) this.free(buffer);
      addresses.forEach((address, i) => {
        this.#heap.free(address, pieces[i]?.bytes as number);
      });
      throw error;
    }
  }

  async download(buffer: DeviceBuffer): Promise<StorageArray> {
    return this.peek(buffer);
  }

  peek(buffer: DeviceBuffer): StorageArray {
    const held = own(buffer);
    const copy = allocate(held.dtype, held.byteLength / byteSize[held.dtype]);
    new Uint8Array(copy.buffer).set(this.#bytes(held));
    return copy;
  }

  free(buffer: DeviceBuffer): void {
    const held = own(buffer);
    if (held.freed) return;
    held.freed = true;
    this.#heap.free(held.address, held.byteLength);
    this.#meter.add(-held.byteLength, -1);
  }

  memory(): MemoryUse {
    return this.#meter.use();
  }

  resetPeak(): void {
    this.#meter.resetPeak();
  }

  async #planFor(program: Program): Promise<ReadyPlan> {
    const known = this.#plans.get(program.key);
    if (known !== undefined) return known;
    const plan = compilePlan(program, this.#memoryImport, this.#fuse);
    const ready = { id: this.#compiled++, plan };
    const module = await WebAssembly.compile(plan.module);
    const { phases, table } = plan;
    const small = plan.nanoseconds < smallRun + smallPhase * phases.length;
    this.#threads.load({ id: ready.id, module, phases, counters: table.counters, report: table.report, small });
    this.#plans.set(program.key, ready);
    return ready;
  }

  #fillTable(
    program: Program,
    plan: Plan,
    run: { table: number; arena: number; leaves: readonly WasmBuffer[]; results: readonly WasmBuffer[] },
  ): void {
    const { buffer } = this.#heap.memory;
    const words = new Int32Array(buffer, run.table, plan.table.words.length);
    words.set(plan.table.words);
    const addressOf = (base: Base): number => {
      if (base.kind === 'arena') return run.arena;
      if (base.kind === 'table') return run.table;
      return (base.kind === 'leaf' ? run.leaves[base.slot] : run.results[base.index])?.address ?? 0;
    };
    for (const { word, base, offset } of plan.table.addresses) words[word] = addressOf(base) + offset;
    const numbers = new DataView(buffer, run.table + plan.table.numbers);
    for (const value of program.values) {
      if (value.primitive !== 'constant') continue;
      writeLanes(numbers, 16 * value.slot, value.dtype, program.scalars[value.slot] as number);
    }
  }

  /** Reports an index that was out of range: kernels read element 0 instead, so nothing else went wrong. */
  #checkIndices(plan: Plan, table: number): void {
    const report = new Int32Array(this.#heap.memory.buffer, table + plan.table.report, 2);
    const value = plan.indexed[(report[0] as number) - 1];
    if (value !== undefined) throw indexError(value, report[1] as number);
  }

  #bytes({ address, byteLength }: WasmBuffer): Uint8Array {
    return new Uint8Array(this.#heap.memory.buffer, address, byteLength);
  }

  #hold(dtype: DType, byteLength: number, what: () => string): WasmBuffer {
    const buffer = new WasmBuffer(dtype, this.#heap.allocate(byteLength, what), byteLength);
    this.#meter.add(byteLength, 1);
    return buffer;
  }
}

/** What a plan keeps between its kernels, in words: how many there are, and the one that moves most. */
function intermediates({ tasks }: Plan): string {
  const [most] = tasks.map(({ report }) => report).toSorted((a, b) => b.bytes - a.bytes);
  const example = most && ` (the one that moves most, ${most.description}, writes ${most.writes.join(' and ')})`;
  return `what ${tasks.length} kernels keep between them${example ?? ''}`;
}

function own(buffer: DeviceBuffer): WasmBuffer {
  if (buffer instanceof WasmBuffer) return buffer;
  throw new TensorError('wasm: this buffer belongs to another device');
}

/** A number in all lanes of a vector, as kernels expect it. */
function writeLanes(view: DataView, offset: number, dtype: DType, value: number): void {
  const rounded = roundTo(dtype, value);
  for (let byte = 0; byte < 16; byte += laneDType(dtype) === 'f64' ? 8 : 4) {
    switch (laneDType(dtype)) {
      case 'f64':
        view.setFloat64(offset + byte, rounded, true);
        break;
      case 'f32':
        view.setFloat32(offset + byte, rounded, true);
        break;
      case 'bool':
        view.setInt32(offset + byte, rounded ? -1 : 0, true);
        break;
      default:
        view.setInt32(offset + byte, rounded | 0, true);
    }
  }
}
