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
  const count = lifetimes.length;
  const offsets = new Array<number>(count).fill(0);
  const bySize = lifetimes.flatMap(({ bytes }, i) => (bytes > 0 ? [i] : []));
  const [from, to] = [Int32Array.from(lifetimes, (one) => one.from), Int32Array.from(lifetimes, (one) => one.to)];
  const bytes = Float64Array.from(lifetimes, (one) => one.bytes);
  bySize.sort((a, b) => (bytes[b] as number) - (bytes[a] as number) || a - b);
  // What has been placed, as a list in the order of offsets, that begins and ends with number `count`.
  const next = new Int32Array(count + 1).fill(count);
  const [starts, ends] = [new Float64Array(count + 1).fill(-1), new Float64Array(count + 1)];
  let total = 0;
  for (const i of bySize) {
    const size = aligned(bytes[i] as number);
    /** Where it could lie, and the last one that begins before. */
    let [offset, before] = [0, count];
    for (let k = next[count] as number; k !== count; k = next[k] as number) {
      if ((starts[k] as number) >= offset + size) break;
      if ((to[k] as number) < (from[i] as number) || (from[k] as number) > (to[i] as number)) continue;
      if ((ends[k] as number) > offset) [offset, before] = [ends[k] as number, k];
    }
    for (let k = next[before] as number; k !== count && (starts[k] as number) <= offset; k = next[k] as number)
      before = k;
    next[i] = next[before] as number;
    next[before] = i;
    offsets[i] = offset;
    [starts[i], ends[i]] = [offset, offset + size];
    total = Math.max(total, offset + size);
  }
  return { offsets, bytes: total };
}
