/** A value that needs memory from one step of a plan to another, both included. */
export interface Lifetime {
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
}

/** Buffers start at multiples of this: a cache line, and more than any element or vector needs. */
export const alignment = 64;

export const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/**
 * Places in one block of memory, such that lifetimes that overlap do not: each goes to the lowest gap that it fits into
 * beside those that are alive with it. Larger ones choose first.
 */
export function packLifetimes(lifetimes: readonly Lifetime[]): { offsets: number[]; bytes: number } {
  const placed: { lifetime: Lifetime; offset: number }[] = [];
  const offsets = new Array<number>(lifetimes.length).fill(0);
  let total = 0;
  const bySize = lifetimes
    .map((lifetime, i) => ({ lifetime, i }))
    .sort((a, b) => b.lifetime.bytes - a.lifetime.bytes || a.i - b.i);
  for (const { lifetime, i } of bySize) {
    const size = aligned(lifetime.bytes);
    let offset = 0;
    for (const other of placed) {
      if (other.lifetime.to < lifetime.from || other.lifetime.from > lifetime.to) continue;
      if (other.offset >= offset + size) break;
      offset = Math.max(offset, other.offset + aligned(other.lifetime.bytes));
    }
    offsets[i] = offset;
    total = Math.max(total, offset + size);
    const at = placed.findIndex((other) => other.offset > offset);
    placed.splice(at < 0 ? placed.length : at, 0, { lifetime, offset });
  }
  return { offsets, bytes: total };
}
