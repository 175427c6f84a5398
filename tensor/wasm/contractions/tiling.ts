import { roundUp } from './plan.ts';

/** Steps of the contracted dimension whose packed panels are worked on at once: a panel of B stays in the L1 cache. */
const deepestBlock = 256;
/** With as many items, any number of threads that a machine is likely to have shares the work evenly. */
const enoughItems = 32;
/** Work, in multiplications, below which an item is not cut further, and below which items share a unit. */
const smallItem = 500_000;
const smallUnit = 100_000;

export interface Blocks {
  readonly size: number;
  readonly count: number;
}

/** Cuts a dimension into equal blocks of at most `most`, sizes being multiples of `multiple`. */
export function cut(total: number, most: number, multiple: number): Blocks {
  const wanted = Math.max(1, Math.ceil(total / Math.max(most, multiple)));
  const size = Math.max(multiple, roundUp(Math.ceil(total / wanted), multiple));
  return { size, count: Math.max(1, Math.ceil(total / size)) };
}

export const depthBlock = (depth: number): number => Math.max(1, cut(depth, deepestBlock, 1).size);

export interface Tiling {
  readonly rows: Blocks;
  readonly columns: Blocks;
  readonly items: number;
  readonly itemsPerUnit: number;
  readonly units: number;
}

export interface TileLimits {
  readonly rows: number;
  readonly columns: number;
  readonly rowPanel: number;
  readonly columnPanel: number;
  /** What is packed anew for every tile. Tiles stay long in the other direction, so that it is used often. */
  readonly packs: 'rows' | 'columns' | 'both';
}

/** Tiles are not cut below these sizes. */
const least = {
  rows: { rows: 32, columns: 128 },
  columns: { rows: 64, columns: 32 },
  both: { rows: 32, columns: 32 },
} as const;

/**
 * Tiles of `batch` outputs of rows by columns: the largest allowed, or smaller ones where there would be too few to
 * share. It depends on the shape alone, so that results never depend on the number of threads.
 */
export function tile(
  { batch, rows, columns, depth }: Readonly<Record<'batch' | 'rows' | 'columns' | 'depth', number>>,
  { packs, rowPanel, columnPanel, ...most }: TileLimits,
): Tiling {
  for (;;) {
    const [high, wide] = [cut(rows, most.rows, rowPanel), cut(columns, most.columns, columnPanel)];
    const items = batch * high.count * wide.count;
    const work = Math.min(rows, high.size) * Math.min(columns, wide.size) * Math.max(1, depth);
    const cutRows = high.size >= 2 * least[packs].rows;
    const cutColumns = wide.size >= 2 * least[packs].columns;
    if (items >= enoughItems || work < 2 * smallItem || !(cutRows || cutColumns)) {
      const itemsPerUnit = Math.max(1, Math.min(Math.ceil(smallUnit / work), Math.ceil(items / enoughItems)));
      return { rows: high, columns: wide, items, itemsPerUnit, units: Math.ceil(items / itemsPerUnit) };
    }
    const rowsFirst = packs === 'both' ? high.size > wide.size : packs === 'rows';
    if (rowsFirst ? cutRows : !cutColumns) most.rows = high.size / 2;
    else most.columns = wide.size / 2;
  }
}
