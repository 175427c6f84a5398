import { usage } from './gpu.ts';

const granularity = 256;
/** Free memory that is kept in any case. */
const smallChange = 64 * 2 ** 20;

/**
 * Storage buffers that are used again. What a submission still reads may be handed out at once: the queue keeps the
 * order. Kept free is at most as much as is in use.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  /** From the one free for longest to the latest. */
  readonly #free = new Set<GPUBuffer>();
  #freeBytes = 0;
  #usedBytes = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A buffer of at least that size, with anything in it. */
  acquire(bytes: number, label: string): GPUBuffer {
    const size = Math.max(1, Math.ceil(bytes / granularity)) * granularity;
    let best: GPUBuffer | undefined;
    for (const buffer of this.#free) {
      if (buffer.size < size || buffer.size > 1.25 * size) continue;
      if (best === undefined || buffer.size < best.size) best = buffer;
      if (best.size === size) break;
    }
    if (best !== undefined) {
      this.#free.delete(best);
      this.#freeBytes -= best.size;
    }
    const buffer =
      best ?? this.#device.createBuffer({ size, usage: usage.storage | usage.copySource | usage.copyTarget, label });
    this.#usedBytes += buffer.size;
    return buffer;
  }

  release(buffer: GPUBuffer): void {
    this.#usedBytes -= buffer.size;
    this.#freeBytes += buffer.size;
    this.#free.add(buffer);
    this.#trim(Math.max(smallChange, this.#usedBytes));
  }

  /** For a buffer that could not be made. */
  discard(buffer: GPUBuffer): void {
    this.#usedBytes -= buffer.size;
    buffer.destroy();
  }

  /** Gives back all that is free. */
  empty(): void {
    this.#trim(0);
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
