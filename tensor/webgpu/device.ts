import type { Value } from '../compiler/program.ts';
import { ProgramReader } from '../compiler/reader.ts';
import type { Device, DeviceBuffer, DevicePlanReport, MemoryUse, Run } from '../device.ts';
import type { DType, StorageArray } from '../dtype.ts';
import { TensorError } from '../errors.ts';
import { indexError } from '../executor/indexError.ts';
import { MemoryMeter } from '../executor/memoryMeter.ts';
import { placedBuffer } from '../executor/placedBuffer.ts';
import type { Tensor } from '../tensor.ts';
import { attentionIsComposed } from './contractions/attention/index.ts';
import { numbersOf, type Taken } from './plan.ts';
import { Plans } from './plans.ts';
import { intactBuffer, WebGpuBuffer, webGpuBuffer } from './runtime/buffer.ts';
import {
  abilitiesOf,
  findAdapter,
  isSoftware,
  mapForRead,
  openAdapter,
  usage,
  type WebGpuLimits,
} from './runtime/gpu.ts';
import { BufferPool } from './runtime/pool.ts';
import { findTraits } from './runtime/probe.ts';
import { findFault, type ReadyPlan, type RunBuffers, submitRun, timeRun } from './runtime/run.ts';
import { deviceBytes, fromDevice, toDevice } from './runtime/transfers.ts';
import type { ShaderTraits } from './wgsl/shader.ts';

export interface WebGpuOptions {
  /** Default: the browser's `navigator.gpu`, or in Node that of the package `webgpu`. */
  readonly gpu?: GPU;
  /** Default: the fastest adapter of `gpu`. */
  readonly adapter?: GPUAdapter;
  /** Whether to use kernels for adapters that run shaders on the CPU. Default: whether this adapter does. */
  readonly software?: boolean;
  /** Default: as far as the adapter goes. */
  readonly limits?: WebGpuLimits;
  /** Whether operators share kernels; default true. */
  readonly fuse?: boolean;
  /** Capacity of the plan cache, in programs; default 256. */
  readonly plans?: number;
}

/** The WebGPU executor: graphs compiled to shaders. */
export class WebGpuDevice implements Device {
  readonly name = 'webgpu';
  readonly description: string;
  readonly dtypes: ReadonlySet<DType> = new Set<DType>(['f32', 'f16', 'bf16', 'i32', 'u32', 'bool']);
  readonly abilities: NonNullable<Device['abilities']>;
  readonly #device: GPUDevice;
  /** The limits and features that shaders use on this device. */
  readonly traits: ShaderTraits;
  readonly #pool: BufferPool;
  /** Buffers that the host maps to read them. */
  readonly #readable: BufferPool;
  readonly #plans: Plans;
  readonly #programs: ProgramReader;
  readonly #meter = new MemoryMeter();
  #lost: TensorError | undefined;
  /** The first error outside an error scope that no call has thrown yet. */
  #failure: TensorError | undefined;
  /** Resolves when the previous run has ended; meanwhile, the next one is prepared. */
  #previous: Promise<unknown> = Promise.resolve();

  private constructor(device: GPUDevice, adapter: GPUAdapter, traits: ShaderTraits, options: WebGpuOptions) {
    const { software = isSoftware(adapter), fuse = true, plans = 256 } = options;
    this.#device = device;
    this.traits = traits;
    this.abilities = abilitiesOf(device);
    this.#pool = new BufferPool(device, usage.storage | usage.copySource | usage.copyTarget);
    this.#readable = new BufferPool(device, usage.mapRead | usage.copyTarget);
    this.#programs = new ProgramReader(attentionIsComposed({ software, traits }));
    this.#plans = new Plans(device, { software, traits, fuse, capacity: plans });
    const { vendor, architecture, description } = adapter.info;
    this.description = `webgpu: ${[description || vendor, architecture].filter(Boolean).join(', ')}${isSoftware(adapter) ? ' (on the CPU)' : ''}`;
    void device.lost.then(({ reason, message }) => {
      this.#lost = new TensorError(
        `webgpu: the device was lost${reason === 'destroyed' ? ', because it was closed' : ''}: ${message || 'no reason was given'}. ` +
          "Its tensors are lost; open a new one with openDevice('webgpu')",
      );
    });
    device.addEventListener?.('uncapturederror', ({ error }) => {
      this.#failure ??= new TensorError(`webgpu: ${error.message}`);
    });
  }

  static async open(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
    const adapter = options.adapter ?? (await findAdapter(options.gpu));
    const device = await openAdapter(adapter, options.limits);
    return new WebGpuDevice(device, adapter, await findTraits(device, adapter), options);
  }

  /** The number of plans that have been compiled so far. */
  get plansCompiled(): number {
    return this.#plans.compiled;
  }

  /** Frees all memory at once. Using the device or its buffers is an error from then on. */
  close(): void {
    this.#device.destroy();
  }

  upload(dtype: DType, storage: StorageArray): DeviceBuffer {
    this.#checkUsable();
    const size = deviceBytes(dtype, storage.length);
    this.#checkSize(size, `an upload of ${dtype}[${storage.length}]`);
    const held = this.#hold(dtype, storage.length, 'an upload');
    const bytes = toDevice(dtype, storage);
    if (bytes.length > 0) this.#device.queue.writeBuffer(held.buffer, 0, bytes);
    // Dawn keeps a copy of the bytes until something is submitted.
    this.#device.queue.submit([]);
    return held;
  }

  prepare(run: Pick<Run, 'order' | 'outputs'>): void {
    this.#programs.of(run);
  }

  async run(run: Run): Promise<readonly DeviceBuffer[]> {
    return (await this.#execute(run, false)).results;
  }

  async plan(run: Run, timed: boolean): Promise<DevicePlanReport> {
    const program = this.#programs.of(run);
    const plan = this.#plans.compiledFor(program).draft.plan([]);
    const workingBytes = plan.slots.reduce((sum, { bytes }) => sum + bytes, 0);
    if (!timed) return { device: this.description, workingBytes, kernels: plan.reports };
    const { results, times } = await this.#execute({ ...run, donated: new Set() }, true);
    for (const buffer of results) this.free(buffer);
    const spent = plan.reports.map(() => 0);
    plan.kernels.forEach(({ task }, i) => {
      spent[task] = (spent[task] as number) + (times[i] as number);
    });
    const kernels = plan.reports.map((report, i) => ({ ...report, milliseconds: spent[i] as number }));
    return { device: this.description, workingBytes, kernels };
  }

  /** Runs a plan. If `timed`, `times` has the milliseconds of each kernel. */
  async #execute(
    run: Run,
    timed: boolean,
  ): Promise<{ readonly results: readonly WebGpuBuffer[]; readonly times: readonly number[] }> {
    await this.#settle();
    const { outputs, donated } = run;
    const program = this.#programs.of(run);
    const compiled = this.#plans.compiledFor(program);
    const { aliasing, indexed } = compiled.draft;
    const leaves = program.leaves.map((tensor) => intactBuffer(placedBuffer(this.name, tensor)));
    const overwrites = aliasing.assign((slot) => donated.has(leaves[slot] as WebGpuBuffer));
    const ready = await this.#plans.planFor(compiled, overwrites);
    await this.#previous;
    this.#checkUsable();
    this.#checkSize(ready.plan.largest.bytes, ready.plan.largest.owner);
    const memory = await this.#acquireFor(ready, outputs, overwrites, 4 * indexed.length);
    const results = outputs.map(({ dtype, size }, i) => {
      const leaf = leaves[overwrites[i] ?? -1];
      if (leaf === undefined) return memory.results[i] as WebGpuBuffer;
      return new WebGpuBuffer(dtype, size, leaf.buffer);
    });
    const buffers: RunBuffers = {
      leaves: leaves.map(({ buffer }) => buffer),
      results: results.map(({ buffer }) => buffer),
      slots: memory.slots,
      report: memory.report,
    };
    const device = this.#device;
    if (ready.numbers !== undefined) device.queue.writeBuffer(ready.numbers, 0, numbersOf(ready.plan, program.scalars));
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    const timing = timed ? timeRun(device, program, ready, buffers) : [];
    // Kernels that overwrite leaves wait until all indices have been checked.
    const overwritten = overwrites.flatMap((slot) => (slot === undefined ? [] : [leaves[slot] as WebGpuBuffer]));
    const waitsForIndices = memory.report !== undefined && overwritten.length > 0;
    const { kernels, lookupKernels } = ready.plan;
    const submitRest = timed
      ? undefined
      : submitRun(device, program, ready, buffers, waitsForIndices ? lookupKernels : kernels.length);
    const finishSubmission = (): void => {
      for (const leaf of overwritten) leaf.freed = true;
      this.#previous = device.queue.onSubmittedWorkDone().catch(() => undefined);
    };
    if (!waitsForIndices) finishSubmission();
    const failed = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    try {
      await this.#checkScopes(failed, ready, buffers);
      const times = await timing;
      if (memory.report !== undefined) await this.#checkIndices(indexed, memory.report);
      if (waitsForIndices) {
        submitRest?.();
        finishSubmission();
      }
      return { results, times };
    } catch (error) {
      // A result in the buffer of a leaf that has not been overwritten leaves that buffer to the leaf.
      results.forEach((buffer, i) => {
        if (leaves[overwrites[i] ?? -1]?.freed !== false) this.free(buffer);
      });
      await this.#settle();
      throw error;
    } finally {
      memory.release();
    }
  }

  async download(buffer: DeviceBuffer): Promise<StorageArray> {
    await this.#settle();
    const { dtype, size, byteLength, buffer: from } = intactBuffer(buffer);
    if (size === 0) return fromDevice(dtype, 0, new ArrayBuffer(0));
    const copy = this.#readable.acquire(byteLength, 'a download');
    try {
      await this.#settle();
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(from, 0, copy, 0, byteLength);
      this.#device.queue.submit([encoder.finish()]);
      return fromDevice(dtype, size, await this.#readMapped(copy, byteLength));
    } finally {
      this.#readable.release(copy);
    }
  }

  peek(): undefined {
    return undefined;
  }

  free(buffer: DeviceBuffer): void {
    const held = webGpuBuffer(buffer);
    if (held.freed) return;
    held.freed = true;
    this.#pool.release(held.buffer);
    this.#meter.add(-held.byteLength, -1);
  }

  memory(): MemoryUse {
    return this.#meter.use();
  }

  resetPeak(): void {
    this.#meter.resetPeak();
  }

  /**
   * Acquires the working memory of a run and buffers for the outputs that overwrite no leaf. If memory is short, frees the
   * unused buffers of the pools and tries once more.
   */
  async #acquireFor(ready: ReadyPlan, outputs: readonly Tensor[], overwrites: Taken, reportBytes: number) {
    const { plan } = ready;
    const acquire = () => {
      // The buffers of the plan's previous run come first, before anything else can take them.
      const again = (previous: GPUBuffer | undefined) => previous && this.#pool.again(previous);
      const previousSlots = ready.slots.map(again);
      const previousResults = outputs.map((_, i) =>
        overwrites[i] === undefined ? again(ready.results[i]) : undefined,
      );
      const slots = plan.slots.map(({ bytes, owner }, i) => previousSlots[i] ?? this.#pool.acquire(bytes, owner));
      ready.slots = slots;
      const results = outputs.map(({ dtype, size }, i) =>
        overwrites[i] === undefined ? this.#hold(dtype, size, plan.owners[i] as string, previousResults[i]) : undefined,
      );
      ready.results = results.map((held) => held?.buffer);
      const working = plan.slots.reduce((sum, { bytes }) => sum + bytes, 0);
      this.#meter.add(working, 0);
      const report =
        reportBytes === 0
          ? undefined
          : {
              own: this.#pool.acquire(reportBytes, 'a report'),
              copy: this.#readable.acquire(reportBytes, 'a report'),
              bytes: reportBytes,
            };
      const release = (): void => {
        for (const slot of slots) this.#pool.release(slot);
        this.#meter.add(-working, 0);
        if (report === undefined) return;
        this.#pool.release(report.own);
        this.#readable.release(report.copy);
      };
      return { results, slots, report, release };
    };
    for (let isLast = false; ; isLast = true) {
      const memory = acquire();
      const failure = (await this.#pool.check()) ?? (await this.#readable.check());
      if (failure === undefined && this.#lost === undefined) return memory;
      memory.release();
      for (const buffer of memory.results) if (buffer !== undefined) this.free(buffer);
      this.#checkUsable();
      this.#pool.empty();
      if (isLast) throw failure;
    }
  }

  /** Throws if an index was out of range. Kernels read element 0 in its place, so nothing else went wrong. */
  async #checkIndices(indexed: readonly Value[], { copy, bytes }: NonNullable<RunBuffers['report']>): Promise<void> {
    const report = new Int32Array(await this.#readMapped(copy, bytes));
    const at = report.findIndex((index) => index !== 0);
    if (at >= 0) throw indexError(indexed[at] as Value, report[at] as number);
  }

  /** A copy of a readable buffer's bytes, once the queue has written them. */
  async #readMapped(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await buffer.mapAsync(mapForRead);
    } catch (error) {
      await this.#settle();
      throw error;
    }
    const copy = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    return copy;
  }

  /** Throws if a run's error scopes caught an error, and names the kernel that failed if it can be found. */
  async #checkScopes(
    scopes: Promise<readonly (GPUError | null)[]>,
    ready: ReadyPlan,
    buffers: RunBuffers,
  ): Promise<void> {
    const [memory, validation] = await scopes;
    this.#checkUsable();
    const error = memory ?? validation;
    if (!error) return;
    const fault = await findFault(this.#device, ready, buffers);
    const where = fault === undefined ? `a run of ${ready.plan.kernels.length} kernels` : `the kernel '${fault.label}'`;
    throw new TensorError(`webgpu: ${where} failed: ${fault?.message ?? error.message}`);
  }

  /** Waits for pending allocations, and throws the first error that has not been thrown yet. */
  async #settle(): Promise<void> {
    const failure = (await this.#pool.check()) ?? (await this.#readable.check()) ?? this.#failure;
    this.#checkUsable();
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #checkUsable(): void {
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Throws if something is larger than a buffer may be. */
  #checkSize(bytes: number, owner: string): void {
    const { maxBufferSize } = this.#device.limits;
    if (bytes <= maxBufferSize) return;
    throw new TensorError(
      `webgpu: ${owner} is too large for this device: it has ${bytes} bytes, and a buffer at most ${maxBufferSize}`,
    );
  }

  #hold(dtype: DType, size: number, owner: string, acquired?: GPUBuffer): WebGpuBuffer {
    const held = new WebGpuBuffer(dtype, size, acquired ?? this.#pool.acquire(deviceBytes(dtype, size), owner));
    this.#meter.add(held.byteLength, 1);
    return held;
  }
}
