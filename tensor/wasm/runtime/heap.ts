import { aligned } from '../../compiler/memoryPlanner.ts';
import { TensorError } from '../../errors.ts';

const pageBytes = 65536;
/** WebAssembly addresses have 32 bits. */
export const maxPages = 65536;

interface Gap {
  start: number;
  bytes: number;
}

/** Allocates pieces of a WebAssembly memory, which grows as needed. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  /** Free pieces, in ascending order; neighbours are merged. */
  readonly #gaps: Gap[] = [];
  #end: number;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    // Address 0 stays unused, so that 0 can mean no address.
    this.#end = memory.buffer.byteLength;
    this.#gaps.push({ start: 64, bytes: this.#end - 64 });
  }

  /** The address of a new piece, in the smallest gap that fits. `what` describes the piece in the error if none does. */
  allocate(bytes: number, what: () => string): number {
    const size = Math.max(aligned(bytes), 64);
    let best: Gap | undefined;
    for (const gap of this.#gaps) if (gap.bytes >= size && (best === undefined || gap.bytes < best.bytes)) best = gap;
    best ??= this.#grow(size, what);
    const { start } = best;
    best.start += size;
    best.bytes -= size;
    if (best.bytes === 0) this.#gaps.splice(this.#gaps.indexOf(best), 1);
    return start;
  }

  free(start: number, bytes: number): void {
    const size = Math.max(aligned(bytes), 64);
    const at = this.#gaps.findIndex((gap) => gap.start > start);
    const index = at < 0 ? this.#gaps.length : at;
    const [before, after] = [this.#gaps[index - 1], this.#gaps[index]];
    if (before !== undefined && before.start + before.bytes === start) {
      before.bytes += size;
      if (after !== undefined && start + size === after.start) {
        before.bytes += after.bytes;
        this.#gaps.splice(index, 1);
      }
    } else if (after !== undefined && start + size === after.start) {
      after.start = start;
      after.bytes += size;
    } else {
      this.#gaps.splice(index, 0, { start, bytes: size });
    }
  }

  #grow(size: number, what: () => string): Gap {
    const last = this.#gaps.at(-1);
    const open = last !== undefined && last.start + last.bytes === this.#end ? last : undefined;
    const missing = size - (open?.bytes ?? 0);
    const pagesNow = this.#end / pageBytes;
    const pages = Math.min(Math.max(Math.ceil(missing / pageBytes), pagesNow >> 2), maxPages - pagesNow);
    if (pages * pageBytes < missing) throw this.#full(size, what);
    try {
      this.memory.grow(pages);
    } catch {
      throw this.#full(size, what);
    }
    const start = this.#end;
    this.#end += pages * pageBytes;
    if (open !== undefined) {
      open.bytes += pages * pageBytes;
      return open;
    }
    const gap = { start, bytes: pages * pageBytes };
    this.#gaps.push(gap);
    return gap;
  }

  #full(size: number, what: () => string): TensorError {
    const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
    const free = this.#gaps.reduce((total, gap) => total + gap.bytes, 0);
    const largest = Math.max(0, ...this.#gaps.map(({ bytes }) => bytes));
    const left = (maxPages - this.#end / pageBytes) * pageBytes;
    return new TensorError(
      `wasm: no room for ${mib(size)}, ${what()}: of the 4096 MiB that WebAssembly can address, ${mib(this.#end - free)} are in use, and ` +
        `the largest piece that would fit is ${mib(Math.max(largest, left))}; use smaller batches, checkpointing or half precision`,
    );
  }
}
