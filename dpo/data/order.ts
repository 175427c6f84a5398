import { hostKeyFor, type KeyPurpose } from '../keys.ts';
import { foldKey, shuffled } from './draws.ts';
import type { RowGroup } from './sources.ts';

/** A position in the endless stream of a data set's rows, which has every row once an epoch. Plain JSON. */
export interface DataPosition {
  readonly epoch: number;
  /** Rows of the epoch before this position. */
  readonly index: number;
}

/** The random key of an epoch for a purpose. */
export const epochKey = (seed: number, purpose: KeyPurpose, epoch: number) => foldKey(hostKeyFor(seed, purpose), epoch);

/** The position `rows` rows further on in a data set of `count` rows. */
export const advance = ({ epoch, index }: DataPosition, rows: number, count: number): DataPosition => ({
  epoch: epoch + Math.floor((index + rows) / count),
  index: (index + rows) % count,
});

/**
 * Returns a function from positions to rows. The order of an epoch depends on (seed, epoch) alone: groups are in random order,
 * and the rows within each group too, so that groups are read from disk one after the other.
 */
export function shuffledOrder(groups: readonly RowGroup[], seed: number): (position: DataPosition) => number {
  let epochOrder: { epoch: number; starts: Float64Array; order: Uint32Array } | undefined;
  /** Row orders of the two groups used last, since a batch may span two groups. */
  const recent = new Map<string, Uint32Array>();

  function groupsOf(epoch: number) {
    if (epochOrder?.epoch === epoch) return epochOrder;
    const order = shuffled(epochKey(seed, 'groupOrder', epoch), groups.length);
    const starts = new Float64Array(groups.length + 1);
    order.forEach((group, i) => {
      const { start, end } = groups[group] as RowGroup;
      starts[i + 1] = (starts[i] as number) + end - start;
    });
    epochOrder = { epoch, starts, order };
    return epochOrder;
  }

  function rowsOf(epoch: number, group: number, size: number): Uint32Array {
    const name = `${epoch} ${group}`;
    const rows = recent.get(name) ?? shuffled(foldKey(epochKey(seed, 'rowOrder', epoch), group), size);
    recent.delete(name);
    recent.set(name, rows);
    if (recent.size > 2) recent.delete(recent.keys().next().value as string);
    return rows;
  }

  return ({ epoch, index }) => {
    const { starts, order } = groupsOf(epoch);
    const slot = lastAtMost(starts, index);
    const group = order[slot] as number;
    const { start, end } = groups[group] as RowGroup;
    return start + (rowsOf(epoch, group, end - start)[index - (starts[slot] as number)] as number);
  };
}

/** The last index whose number is at most `value`, in ascending numbers; 0 where there is none. */
export function lastAtMost(numbers: ArrayLike<number>, value: number): number {
  let [low, high] = [0, numbers.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] as number) <= value) low = middle;
    else high = middle;
  }
  return low;
}
