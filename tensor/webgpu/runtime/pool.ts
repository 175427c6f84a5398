import { TensorError } from '../../errors.ts';

const granularity = 256;
/** Free memory that is kept in any case. */
const smallChange = 64 * 2 ** 20;

/**
 * Buffers of one kind that are used again. What a submission still reads may be handed out at once: the queue keeps the
 * order. Kept free is at most as much as is in use.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #usage: number;
  /** From the one free for longest to the latest. */
  readonly #free = new Set<GPUBuffer>();
  #freeBytes = 0;
  #usedBytes = 0;
  /** Buffers that could not be made, and must not be handed out again. */
  readonly #failed = new WeakSet<GPUBuffer>();
  #failure: TensorError | undefined;
  #checks: Promise<unknown> | undefined;

  constructor(device: GPUDevice, usage: number) {
    this.#device = device;
    this.#usage = usage;
  }

  /** A buffer of at least that size, with anything in it. `owner` says what it is for in an error. */
  acquire(bytes: number, owner: string): GPUBuffer {
    const size = Math.max(1, Math.ceil(bytes / granularity)) * granularity;
    let best: GPUBuffer | undefined;
    for (const buffer of this.#free) {
      if (buffer.size < size || buffer.size > 1.25 * size) continue;
      if (best === undefined || buffer.size < best.size) best = buffer;
      if (best.size === size) break;
    }
    if (best !== undefined) return this.again(best) as GPUBuffer;
    this.#usedBytes += size;
    return this.#create(size, owner);
  }

  /** That very buffer, if it is free. */
  again(buffer: GPUBuffer): GPUBuffer | undefined {
    if (!this.#free.delete(buffer)) return undefined;
    this.#freeBytes -= buffer.size;
    this.#usedBytes += buffer.size;
    return buffer;
  }

  release(buffer: GPUBuffer): void {
    this.#usedBytes -= buffer.size;
    if (this.#failed.has(buffer)) {
      buffer.destroy();
      return;
    }
    this.#freeBytes += buffer.size;
    this.#free.add(buffer);
    this.#trim(Math.max(smallChange, this.#usedBytes));
  }

  /** Gives back all that is free. */
  empty(): void {
    this.#trim(0);
  }

  /** Why a buffer could not be made, if since the last call one could not. */
  async check(): Promise<TensorError | undefined> {
    await this.#checks;
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  #create(size: number, owner: string): GPUBuffer {
    this.#device.pushErrorScope('out-of-memory');
    const buffer = this.#device.createBuffer({ size, usage: this.#usage, label: owner });
    const check = this.#device.popErrorScope().then(
      (error) => {
        if (error === null) return;
        this.#failed.add(buffer);
        this.#failure ??= new TensorError(
          `webgpu: the device has not enough memory for ${size} bytes, which ${owner} needs: ${error.message}; ` +
            'dispose of tensors or compute in smaller parts',
        );
      },
      // The device is lost, which others report.
      () => undefined,
    );
    const checks: Promise<unknown> = Promise.all([this.#checks, check]).then(() => {
      if (this.#checks === checks) this.#checks = undefined;
    });
    this.#checks = checks;
    return buffer;
  }

  #trim(most: number): void {
    for (const buffer of this.#free) {
      if (this.#freeBytes <= most) break;
      this.#free.delete(buffer);
      this.#freeBytes -= buffer.size;
      buffer.destroy();
    }
  }
}
