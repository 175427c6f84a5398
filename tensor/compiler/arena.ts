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
  const offsets = new Array<number>(lifetimes.length).fill(0);
  let total = 0;
  const bySize = lifetimes
    .map((lifetime, i) => ({ lifetime, i }))
    .filter(({ lifetime }) => lifetime.bytes > 0)
    .sort((a, b) => b.lifetime.bytes - a.lifetime.bytes || a.i - b.i);
  // What has been placed, by offset. Every lifetime is compared with all of them, so they lie in plain arrays.
  const [starts, ends] = [new Float64Array(lifetimes.length), new Float64Array(lifetimes.length)];
  const [froms, tos] = [new Float64Array(lifetimes.length), new Float64Array(lifetimes.length)];
  bySize.forEach(({ lifetime: { bytes, from, to }, i }, count) => {
    const size = aligned(bytes);
    let offset = 0;
    for (let k = 0; k < count; k++) {
      if ((tos[k] as number) < from || (froms[k] as number) > to) continue;
      if ((starts[k] as number) >= offset + size) break;
      offset = Math.max(offset, ends[k] as number);
    }
    offsets[i] = offset;
    total = Math.max(total, offset + size);
    let at = count;
    while (at > 0 && (starts[at - 1] as number) > offset) at--;
    for (const [list, value] of [
      [starts, offset],
      [ends, offset + size],
      [froms, from],
      [tos, to],
    ] as const) {
      list.copyWithin(at + 1, at, count);
      list[at] = value;
    }
  });
  return { offsets, bytes: total };
}
