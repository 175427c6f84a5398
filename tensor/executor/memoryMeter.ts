import type { MemoryUse } from '../device.ts';

/** Counts the bytes and buffers that a device holds, and the most it has held at once since `resetPeak`. */
export class MemoryMeter {
  readonly #use = { bytes: 0, buffers: 0, peakBytes: 0, peakBuffers: 0 };

  /** Counts memory that is allocated; negative numbers count memory that is freed. Working memory of a run has no buffers. */
  add(bytes: number, buffers: number): void {
    const use = this.#use;
    use.bytes += bytes;
    use.buffers += buffers;
    use.peakBytes = Math.max(use.peakBytes, use.bytes);
    use.peakBuffers = Math.max(use.peakBuffers, use.buffers);
  }

  use(): MemoryUse {
    return { ...this.#use };
  }

  /** Makes the present use the peak. */
  resetPeak(): void {
    this.#use.peakBytes = this.#use.bytes;
    this.#use.peakBuffers = this.#use.buffers;
  }
}
