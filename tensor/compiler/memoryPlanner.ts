/** Memory that is needed from one task of a plan to another, both included. */
export interface Lifetime {
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
}

/** Buffers start at multiples of this: a cache line, and more than any element or vector needs. */
export const alignment = 64;

export const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** Fields of a placed lifetime: its first byte, the byte after its last, and the tasks from and to which it lives. */
const fields = 4;

/**
 * Assigns each lifetime an offset in one block of memory, so that lifetimes that overlap in time do not overlap in memory.
 * Greedy by size: the largest first, each into the lowest gap between those that are alive at the same time.
 */
export function planMemory(lifetimes: readonly Lifetime[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const bySize: number[] = [];
  lifetimes.forEach(({ bytes }, i) => {
    if (bytes > 0) bySize.push(i);
  });
  const bytesOf = (i: number): number => (lifetimes[i] as Lifetime).bytes;
  bySize.sort((a, b) => bytesOf(b) - bytesOf(a) || a - b);
  // Sorted by first byte, in one flat array: every lifetime is compared with most of those placed before it.
  const placed = new Float64Array(fields * bySize.length);
  let [end, total] = [0, 0];
  for (const i of bySize) {
    const { bytes, from, to } = lifetimes[i] as Lifetime;
    const size = aligned(bytes);
    let [offset, k] = [0, 0];
    for (; k < end && (placed[k] as number) < offset + size; k += fields) {
      const stop = placed[k + 1] as number;
      if (stop > offset && (placed[k + 2] as number) <= to && (placed[k + 3] as number) >= from) offset = stop;
    }
    while (k > 0 && (placed[k - fields] as number) > offset) k -= fields;
    placed.copyWithin(k + fields, k, end);
    placed[k] = offset;
    placed[k + 1] = offset + size;
    placed[k + 2] = from;
    placed[k + 3] = to;
    end += fields;
    offsets[i] = offset;
    total = Math.max(total, offset + size);
  }
  return { offsets, bytes: total };
}
