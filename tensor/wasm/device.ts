import { aligned } from '../compiler/memoryPlanner.ts';
import type { Program } from '../compiler/program.ts';
import { ProgramReader } from '../compiler/reader.ts';
import type { Device, DeviceBuffer, DevicePlanReport, MemoryUse, Run } from '../device.ts';
import { allocate, byteSize, type DType, dtypes, roundTo, type StorageArray } from '../dtype.ts';
import { TensorError } from '../errors.ts';
import { copyOutputs } from '../executor/copyOutputs.ts';
import { indexError } from '../executor/indexError.ts';
import { MemoryMeter } from '../executor/memoryMeter.ts';
import { placedBuffer } from '../executor/placedBuffer.ts';
import { PlanCache } from '../executor/planCache.ts';
import { describe, type Tensor } from '../tensor.ts';
import type { MemoryImport } from './assembler/module.ts';
import { hasRelaxedSimd } from './assembler/relaxed.ts';
import { contractionModule } from './contractions/module.ts';
import { type Base, compilePlan, type Plan } from './plan.ts';
import { Heap, maxPages } from './runtime/heap.ts';
import { CallingThread, canShareMemory, checkThreads, defaultThreadCount, type Threads } from './runtime/threads.ts';
import { WorkerThreads } from './runtime/workerThreads.ts';
import { laneDType } from './simd/lanes.ts';

/** Elements in the linear memory of a device. */
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

/** Nanoseconds until workers have woken up and answered, and until they have synchronized after a phase. */
const wakeUpTime = 60_000;
const barrierTime = 6_000;

/** A plan that the threads have loaded under a number. */
interface ReadyPlan {
  readonly id: number;
  readonly plan: Plan;
}

/** The memory of a run. */
interface RunMemory {
  readonly results: readonly WasmBuffer[];
  /** The results in newly allocated memory. */
  readonly allocated: readonly WasmBuffer[];
  /** The leaves whose memory the other results overwrite. */
  readonly overwritten: readonly WasmBuffer[];
  /** Addresses of the working memory. */
  readonly addresses: readonly number[];
}

/** A block of working memory; `what` names it in errors. */
interface Block {
  readonly bytes: number;
  readonly what: () => string;
}

export interface WasmOptions {
  /** Number of threads that compute. Default: the environment variable `DIFFUSION_DPO_THREADS`, else one for each core. */
  readonly threads?: number;
  /** Whether operators share kernels; default true. */
  readonly fuse?: boolean;
  /** Capacity of the plan cache, in plans; default 256. */
  readonly plans?: number;
}

/** The WebAssembly executor: graphs compiled to SIMD kernels over one linear memory. */
export class WasmDevice implements Device {
  readonly name = 'wasm';
  readonly description: string;
  readonly dtypes: ReadonlySet<DType> = new Set(dtypes);
  readonly abilities: NonNullable<Device['abilities']>;
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
    this.abilities = { features: [], limits: { memory: maxPages * 65_536 } };
    const speed = hasRelaxedSimd() ? 'relaxed SIMD' : 'SIMD';
    this.description = `wasm: WebAssembly ${speed}, ${threads.count} ${threads.count === 1 ? 'thread' : 'threads'}`;
  }

  /** Opens a device. Without shared memory it has one thread, the calling one. */
  static async open(options: WasmOptions = {}): Promise<WasmDevice> {
    const { threads = defaultThreadCount() } = options;
    checkThreads('threads', threads);
    const shared = canShareMemory();
    const limits: MemoryImport = { initial: 16, maximum: maxPages, shared };
    const heap = new Heap(new WebAssembly.Memory({ initial: 16, maximum: maxPages, shared }));
    const contractions = await WebAssembly.compile(contractionModule({ relaxed: hasRelaxedSimd(), memory: limits }));
    const runner = shared
      ? new WorkerThreads(threads, heap.memory, contractions)
      : new CallingThread(heap.memory, contractions);
    return new WasmDevice(heap, limits, runner, options);
  }

  /** The number of threads that compute. */
  get threads(): number {
    return this.#threads.count;
  }

  /** The number of plans that have been compiled so far. */
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
    const leaves = program.leaves.map((tensor) => wasmBuffer(placedBuffer(this.name, tensor)));
    const scratchBytes = aligned(plan.threadScratchBytes);
    const blocks = [
      { bytes: plan.table.bytes, what: () => 'the table of a run' },
      { bytes: plan.arenaBytes, what: () => intermediates(plan) },
      { bytes: scratchBytes * this.#threads.count, what: () => `scratch memory of ${this.#threads.count} threads` },
    ];
    const { results, allocated, overwritten, addresses } = this.#allocate(plan, outputs, leaves, donated, blocks);
    const [table, arena, scratch] = addresses as [number, number, number];
    const working = blocks.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#meter.add(working, 0);
    try {
      this.#fillTable(program, plan, { table, arena, leaves, results });
      const times = await this.#threads.run(id, table, scratch, scratchBytes);
      this.#checkIndices(plan, table);
      for (const leaf of overwritten) leaf.freed = true;
      copyOutputs(program, leaves, results, (source, target) => {
        this.#bytes(target).set(this.#bytes(source));
      });
      return { results, times };
    } catch (error) {
      for (const buffer of allocated) this.free(buffer);
      throw error;
    } finally {
      addresses.forEach((address, i) => {
        this.#heap.free(address, blocks[i]?.bytes as number);
      });
      this.#meter.add(-working, 0);
    }
  }

  /** Finds buffers for the outputs (those of donated leaves where they fit) and working memory. Allocates all or nothing. */
  #allocate(
    plan: Plan,
    outputs: readonly Tensor[],
    leaves: readonly WasmBuffer[],
    donated: ReadonlySet<DeviceBuffer>,
    blocks: readonly Block[],
  ): RunMemory {
    const leaf = (slot: number): WasmBuffer => leaves[slot] as WasmBuffer;
    const slots = plan.aliasing.assign((slot) => donated.has(leaf(slot)));
    const [allocated, overwritten]: [WasmBuffer[], WasmBuffer[]] = [[], []];
    const addresses: number[] = [];
    const bufferFor = (tensor: Tensor, slot: number | undefined): WasmBuffer => {
      const { dtype } = tensor;
      const bytes = tensor.size * byteSize[dtype];
      if (slot === undefined) {
        const buffer = this.#hold(dtype, bytes, () => describe(tensor));
        allocated.push(buffer);
        return buffer;
      }
      overwritten.push(leaf(slot));
      return new WasmBuffer(dtype, leaf(slot).address, bytes);
    };
    try {
      const results = outputs.map((tensor, i) => bufferFor(tensor, slots[i]));
      for (const { bytes, what } of blocks) addresses.push(this.#heap.allocate(bytes, what));
      return { results, allocated, overwritten, addresses };
    } catch (error) {
      for (const buffer of allocated) this.free(buffer);
      addresses.forEach((address, i) => {
        this.#heap.free(address, blocks[i]?.bytes as number);
      });
      throw error;
    }
  }

  async download(buffer: DeviceBuffer): Promise<StorageArray> {
    return this.peek(buffer);
  }

  peek(buffer: DeviceBuffer): StorageArray {
    const held = wasmBuffer(buffer);
    const copy = allocate(held.dtype, held.byteLength / byteSize[held.dtype]);
    new Uint8Array(copy.buffer).set(this.#bytes(held));
    return copy;
  }

  free(buffer: DeviceBuffer): void {
    const held = wasmBuffer(buffer);
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
    const small = plan.nanoseconds < wakeUpTime + barrierTime * phases.length;
    this.#threads.load({ id: ready.id, module, phases, counters: table.counters, report: table.report, small });
    this.#plans.set(program.key, ready);
    return ready;
  }

  /** Writes the addresses and constants of a run into its copy of the plan's table. */
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

  /** Throws if an index was out of range. Kernels read element 0 in its place, so nothing else went wrong. */
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

/** Names the intermediate values of a plan in errors, by the number of kernels and the kernel that moves the most bytes. */
function intermediates({ tasks }: Plan): string {
  const [largest] = tasks.map(({ report }) => report).toSorted((a, b) => b.bytes - a.bytes);
  const example = largest && ` (the largest kernel, ${largest.description}, writes ${largest.writes.join(' and ')})`;
  return `intermediate values of ${tasks.length} kernels${example ?? ''}`;
}

function wasmBuffer(buffer: DeviceBuffer): WasmBuffer {
  if (buffer instanceof WasmBuffer) return buffer;
  throw new TensorError('wasm: this buffer belongs to another device');
}

/** Writes a number into all lanes of a 16-byte vector. */
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
