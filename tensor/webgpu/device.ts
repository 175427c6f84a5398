import { type Program, readProgram, type Value } from '../compiler/program.ts';
import type { Device, DeviceBuffer, MemoryUse, Run } from '../device.ts';
import type { DType, StorageArray } from '../dtype.ts';
import { TensorError } from '../errors.ts';
import type { Attributes } from '../primitives.ts';
import { formatShape, sizeOf } from '../shape.ts';
import { sourceOf, type Tensor } from '../tensor.ts';
import { findAdapter, isSoftware, openAdapter, usage } from './gpu.ts';
import { type Pipeline, Pipelines } from './pipelines.ts';
import { compilePlan, numbersOf, type Plan, type Spot } from './plan.ts';
import { BufferPool } from './pool.ts';
import { deviceBytes, fromDevice, toDevice } from './transfers.ts';

class WebGpuBuffer implements DeviceBuffer {
  readonly dtype: DType;
  readonly size: number;
  readonly byteLength: number;
  readonly buffer: GPUBuffer;
  freed = false;

  constructor(dtype: DType, size: number, buffer: GPUBuffer) {
    this.dtype = dtype;
    this.size = size;
    this.byteLength = deviceBytes(dtype, size);
    this.buffer = buffer;
  }
}

interface ReadyPlan {
  readonly plan: Plan;
  readonly pipelines: readonly Pipeline[];
  readonly numbers: GPUBuffer | undefined;
}

export interface WebGpuOptions {
  /** Default: the browser's, or in Node that of the package `webgpu`. */
  readonly gpu?: GPU;
  /** Default: the fastest of `gpu`. */
  readonly adapter?: GPUAdapter;
  /** Whether kernels are those for a CPU that runs shaders. Default: whether the adapter is one. */
  readonly software?: boolean;
  /** Whether operators share kernels; default true. */
  readonly fuse?: boolean;
  /** How many compiled plans are kept; default 256. */
  readonly plans?: number;
}

/** The WebGPU executor: graphs compiled to shaders. */
export class WebGpuDevice implements Device {
  readonly name = 'webgpu';
  readonly description: string;
  readonly dtypes: ReadonlySet<DType> = new Set<DType>(['f32', 'f16', 'bf16', 'i32', 'u32', 'bool']);
  readonly #device: GPUDevice;
  readonly #software: boolean;
  readonly #fuse: boolean;
  readonly #mostPlans: number;
  readonly #pool: BufferPool;
  readonly #pipelines: Pipelines;
  readonly #plans = new Map<string, ReadyPlan>();
  #use = { bytes: 0, buffers: 0, peakBytes: 0, peakBuffers: 0 };
  #compiled = 0;
  #lost: TensorError | undefined;
  /** The first error that no call has been told of. */
  #failure: TensorError | undefined;
  /** Checks of uploads that are under way. */
  #uploads: Promise<unknown> = Promise.resolve();
  /** The run before the last one: no more than two are under way. */
  #former: Promise<unknown> = Promise.resolve();

  private constructor(device: GPUDevice, adapter: GPUAdapter, options: WebGpuOptions) {
    const { software = isSoftware(adapter), fuse = true, plans = 256 } = options;
    this.#device = device;
    this.#software = software;
    this.#fuse = fuse;
    this.#mostPlans = plans;
    this.#pool = new BufferPool(device);
    this.#pipelines = new Pipelines(device);
    const { vendor, architecture, description } = adapter.info;
    this.description = `webgpu: ${[description || vendor, architecture].filter(Boolean).join(', ')}${isSoftware(adapter) ? ' (on the CPU)' : ''}`;
    void device.lost.then(({ reason, message }) => {
      this.#lost = new TensorError(
        `webgpu: the device was lost${reason === 'destroyed' ? ', because it was closed' : ''}: ${message || 'no reason was given'}. ` +
          "What it held is gone; open a new one with openDevice('webgpu')",
      );
    });
    device.addEventListener?.('uncapturederror', ({ error }) => {
      this.#failure ??= new TensorError(`webgpu: ${error.message}`);
    });
  }

  static async open(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
    const adapter = options.adapter ?? (await findAdapter(options.gpu));
    return new WebGpuDevice(await openAdapter(adapter), adapter, options);
  }

  /** How many plans have been compiled so far. */
  get plansCompiled(): number {
    return this.#compiled;
  }

  /** Gives everything back at once. Using the device, or what it holds, is an error from then on. */
  close(): void {
    this.#device.destroy();
  }

  upload(dtype: DType, storage: StorageArray): DeviceBuffer {
    this.#checkUsable();
    this.#checkSizes([deviceBytes(dtype, storage.length)]);
    const held = this.#guarded(() => this.#hold(dtype, storage.length, 'upload'));
    const bytes = toDevice(dtype, storage);
    if (bytes.length > 0) this.#device.queue.writeBuffer(held.buffer, 0, bytes);
    // Dawn keeps what was written until something is submitted.
    this.#device.queue.submit([]);
    return held;
  }

  async run({ order, outputs }: Run): Promise<readonly DeviceBuffer[]> {
    await this.#settle();
    const program = readProgram(order, outputs);
    const ready = await this.#planFor(program);
    const leaves = program.leaves.map((tensor) => own(placedBuffer(tensor)).buffer);
    await this.#former;
    this.#checkUsable();
    this.#checkSizes([...ready.plan.slots, ...outputs.map(({ dtype, size }) => deviceBytes(dtype, size))]);
    const device = this.#device;
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    const results = outputs.map(({ dtype, size }) => this.#hold(dtype, size, 'output'));
    const slots = ready.plan.slots.map((bytes) => this.#pool.acquire(bytes, 'intermediate values'));
    const working = ready.plan.slots.reduce((sum, bytes) => sum + bytes, 0);
    this.#count(working, 0);
    const report = ready.plan.indexed.length === 0 ? undefined : this.#reportBuffers(4 * ready.plan.indexed.length);
    this.#submit(program, ready, { leaves, results: results.map(({ buffer }) => buffer), slots, report });
    const failed = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    this.#former = device.queue.onSubmittedWorkDone().catch(() => undefined);
    try {
      await this.#checkScopes(failed, ready.plan);
      for (const slot of slots) this.#pool.release(slot);
      if (report !== undefined) await this.#checkIndices(ready.plan, report.copy);
      return results;
    } catch (error) {
      for (const buffer of results) this.free(buffer);
      throw error;
    } finally {
      this.#count(-working, 0);
      report?.own.destroy();
      report?.copy.destroy();
    }
  }

  async download(buffer: DeviceBuffer): Promise<StorageArray> {
    await this.#settle();
    const { dtype, size, byteLength, buffer: from } = own(buffer);
    if (size === 0) return fromDevice(dtype, 0, new ArrayBuffer(0));
    const copy = this.#device.createBuffer({
      size: byteLength,
      usage: usage.mapRead | usage.copyTarget,
      label: 'download',
    });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, copy, 0, byteLength);
    this.#device.queue.submit([encoder.finish()]);
    try {
      return fromDevice(dtype, size, await this.#readMapped(copy));
    } finally {
      copy.destroy();
    }
  }

  peek(): undefined {
    return undefined;
  }

  free(buffer: DeviceBuffer): void {
    const held = own(buffer);
    if (held.freed) return;
    held.freed = true;
    this.#pool.release(held.buffer);
    this.#count(-held.byteLength, -1);
  }

  memory(): MemoryUse {
    return { ...this.#use };
  }

  resetPeak(): void {
    this.#use.peakBytes = this.#use.bytes;
    this.#use.peakBuffers = this.#use.buffers;
  }

  async #planFor(program: Program): Promise<ReadyPlan> {
    const known = this.#plans.get(program.key);
    if (known !== undefined) {
      // Reinserted, so that the first of the map is the one unused for longest.
      this.#plans.delete(program.key);
      this.#plans.set(program.key, known);
      return known;
    }
    const plan = compilePlan(program, { software: this.#software, fuse: this.#fuse });
    this.#compiled++;
    const pipelines = await Promise.all(plan.kernels.map(({ kernel }) => this.#pipelines.get(kernel)));
    const numbers =
      plan.numberBytes === 0
        ? undefined
        : this.#device.createBuffer({
            size: plan.numberBytes,
            usage: usage.uniform | usage.copyTarget,
            label: 'numbers',
          });
    const ready = { plan, pipelines, numbers };
    this.#plans.set(program.key, ready);
    for (const [key, old] of this.#plans) {
      if (this.#plans.size <= this.#mostPlans) break;
      this.#plans.delete(key);
      old.numbers?.destroy();
    }
    return ready;
  }

  #submit(
    program: Program,
    { plan, pipelines, numbers }: ReadyPlan,
    run: {
      leaves: readonly GPUBuffer[];
      results: readonly GPUBuffer[];
      slots: readonly GPUBuffer[];
      report: { readonly own: GPUBuffer; readonly copy: GPUBuffer } | undefined;
    },
  ): void {
    const device = this.#device;
    if (numbers !== undefined) device.queue.writeBuffer(numbers, 0, numbersOf(plan, program.scalars));
    const bufferAt = (spot: Spot): GPUBuffer => {
      if (spot.kind === 'report') return run.report?.own as GPUBuffer;
      const list = spot.kind === 'leaf' ? run.leaves : spot.kind === 'output' ? run.results : run.slots;
      return list[spot.kind === 'leaf' ? spot.slot : spot.index] as GPUBuffer;
    };
    const most = device.limits.maxComputeWorkgroupsPerDimension;
    const encoder = device.createCommandEncoder();
    if (plan.kernels.length > 0) {
      const pass = encoder.beginComputePass();
      plan.kernels.forEach(({ kernel, spots, numbersAt }, i) => {
        const { pipeline, layout } = pipelines[i] as Pipeline;
        const entries = spots.map(
          (spot, binding): GPUBindGroupEntry => ({ binding: binding + 1, resource: { buffer: bufferAt(spot) } }),
        );
        if (kernel.numbers.length > 0) {
          const size = 16 * Math.ceil(kernel.numbers.length / 4);
          entries.unshift({ binding: 0, resource: { buffer: numbers as GPUBuffer, offset: numbersAt, size } });
        }
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, device.createBindGroup({ label: kernel.label, layout, entries }));
        const high = Math.ceil(kernel.workgroups / most);
        pass.dispatchWorkgroups(Math.ceil(kernel.workgroups / high), high);
      });
      pass.end();
    }
    if (run.report !== undefined)
      encoder.copyBufferToBuffer(run.report.own, 0, run.report.copy, 0, run.report.own.size);
    // What is a leaf, or an output twice, has no kernel to write it.
    program.outputs.forEach((value, i) => {
      const source = value.primitive === 'leaf' ? run.leaves[value.slot] : run.results[program.outputs.indexOf(value)];
      const target = run.results[i] as GPUBuffer;
      const bytes = deviceBytes(value.dtype, sizeOf(value.shape));
      if (source !== undefined && source !== target && bytes > 0)
        encoder.copyBufferToBuffer(source, 0, target, 0, bytes);
    });
    device.queue.submit([encoder.finish()]);
  }

  #reportBuffers(size: number) {
    const own = this.#device.createBuffer({ size, usage: usage.storage | usage.copySource, label: 'report' });
    const copy = this.#device.createBuffer({ size, usage: usage.mapRead | usage.copyTarget, label: 'report' });
    return { own, copy };
  }

  /** Reports an index that was out of range: kernels read element 0 instead, so nothing else went wrong. */
  async #checkIndices({ indexed }: Plan, copy: GPUBuffer): Promise<void> {
    const report = new Int32Array(await this.#readMapped(copy));
    const at = report.findIndex((index) => index !== 0);
    const value = indexed[at] as Value;
    if (at < 0) return;
    const { axis } = value.attributes as Attributes['gather'];
    const [x] = value.inputs as readonly [Value];
    throw new TensorError(
      `${value.primitive}: index ${report[at]} is outside axis ${axis} of ${x.dtype}${formatShape(x.shape)}: indices there are 0 to ${(x.shape[axis] as number) - 1}`,
    );
  }

  /** A copy of what a buffer for reading holds, when the queue has come so far. */
  async #readMapped(buffer: GPUBuffer): Promise<ArrayBuffer> {
    try {
      await buffer.mapAsync(usage.mapRead);
    } catch (error) {
      await this.#settle();
      throw error;
    }
    return buffer.getMappedRange().slice(0);
  }

  /** Does something that may fail for want of memory; the next call that waits for the device reports it. */
  #guarded<T>(action: () => T): T {
    this.#device.pushErrorScope('out-of-memory');
    const result = action();
    const check = this.#device.popErrorScope().then(
      (error) => {
        if (error !== null) this.#failure ??= outOfMemory(error.message);
      },
      () => undefined,
    );
    this.#uploads = Promise.all([this.#uploads, check]);
    return result;
  }

  async #checkScopes(scopes: Promise<readonly (GPUError | null)[]>, { kernels }: Plan): Promise<void> {
    const [memory, validation] = await scopes;
    this.#checkUsable();
    if (memory) {
      this.#pool.empty();
      throw outOfMemory(memory.message);
    }
    if (validation) throw new TensorError(`webgpu: a run of ${kernels.length} kernels failed: ${validation.message}`);
  }

  /** Waits for what may have failed, and throws if it has. */
  async #settle(): Promise<void> {
    await this.#uploads;
    this.#checkUsable();
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #checkUsable(): void {
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Throws where something is larger than a kernel can see at once. */
  #checkSizes(sizes: readonly number[]): void {
    const most = this.#device.limits.maxStorageBufferBindingSize;
    const bytes = Math.max(0, ...sizes);
    if (bytes <= most) return;
    throw new TensorError(
      `webgpu: a tensor of ${bytes} bytes is too large for this device, where the limit is ${most}`,
    );
  }

  #hold(dtype: DType, size: number, label: string): WebGpuBuffer {
    const held = new WebGpuBuffer(dtype, size, this.#pool.acquire(deviceBytes(dtype, size), label));
    this.#count(held.byteLength, 1);
    return held;
  }

  #count(bytes: number, buffers: number): void {
    const use = this.#use;
    use.bytes += bytes;
    use.buffers += buffers;
    use.peakBytes = Math.max(use.peakBytes, use.bytes);
    use.peakBuffers = Math.max(use.peakBuffers, use.buffers);
  }
}

const outOfMemory = (message: string): TensorError =>
  new TensorError(
    `webgpu: the device has not enough memory: ${message}; dispose of tensors or compute in smaller parts`,
  );

function own(buffer: DeviceBuffer): WebGpuBuffer {
  if (buffer instanceof WebGpuBuffer) return buffer;
  throw new TensorError('webgpu: this buffer belongs to another device');
}

function placedBuffer(tensor: Tensor): DeviceBuffer {
  const source = sourceOf(tensor);
  if (source.kind === 'placed') return source.buffer;
  throw new TensorError(`webgpu: tensor #${tensor.id} is not on the device`);
}
