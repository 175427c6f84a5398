import { hostKeyFor, type KeyPurpose } from '../keys.ts';
import { foldKey, shuffled } from './draws.ts';
import type { RowGroup } from './sources.ts';

/** A place in the endless stream of a data set's rows: epoch after epoch, each in an order of its own. Plain JSON. */
export interface DataPosition {
  readonly epoch: number;
  /** How many rows of the epoch have gone before. */
  readonly index: number;
}

/** The key that an epoch has for a purpose. */
export const epochKey = (seed: number, purpose: KeyPurpose, epoch: number) => foldKey(hostKeyFor(seed, purpose), epoch);

/** A position that is further on by some rows, in a data set of `count`. */
export const advance = ({ epoch, index }: DataPosition, rows: number, count: number): DataPosition => ({
  epoch: epoch + Math.floor((index + rows) / count),
  index: (index + rows) % count,
});

/**
 * The order of each epoch, a function of (seed, epoch) alone: groups in random order, and the rows of a group in random
 * order, so that one group after the other is read from disk. Gives the row at a position.
 */
export function shuffledOrder(groups: readonly RowGroup[], seed: number): (position: DataPosition) => number {
  let epochOrder: { epoch: number; starts: Float64Array; order: Uint32Array } | undefined;
  /** Rows of the groups that were asked for last: two, since a batch may lie across a border. */
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

/** The last place in rising numbers whose number is at most `value`. */
export function lastAtMost(numbers: ArrayLike<number>, value: number): number {
  let [low, high] = [0, numbers.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] as number) <= value) low = middle;
    else high = middle;
  }
  return low;
}
