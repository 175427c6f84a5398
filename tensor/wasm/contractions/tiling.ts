import { roundUp } from './plan.ts';

/** Largest block of the contracted dimension: a panel of B this deep stays in the L1 cache. */
const maxDepth = 256;
/** Items enough to keep the threads of any usual machine evenly busy. */
const enoughItems = 32;
/** Multiplications below which an item is not cut further, and below which items share a unit. */
const smallItem = 500_000;
const smallUnit = 100_000;

export interface Blocks {
  readonly size: number;
  readonly count: number;
}

/** Cuts a dimension into equal blocks of at most `limit`; the size is a multiple of `multiple`. */
export function cut(total: number, limit: number, multiple: number): Blocks {
  const count = Math.max(1, Math.ceil(total / Math.max(limit, multiple)));
  const size = Math.max(multiple, roundUp(Math.ceil(total / count), multiple));
  return { size, count: Math.max(1, Math.ceil(total / size)) };
}

/** The size of the blocks that a contracted dimension is cut into. */
export const depthBlock = (depth: number): number => Math.max(1, cut(depth, maxDepth, 1).size);

export interface Tiling {
  readonly rows: Blocks;
  readonly columns: Blocks;
  readonly items: number;
  readonly itemsPerUnit: number;
  readonly units: number;
}

/** Largest tiles, sizes of a register block, and what is packed. */
export interface TileLimits {
  readonly rows: number;
  readonly columns: number;
  readonly rowPanel: number;
  readonly columnPanel: number;
  /** What each tile packs. Tiles stay long in the other direction, so that packed panels are used often. */
  readonly packs: 'rows' | 'columns' | 'both';
}

/** Tiles are not cut below these sizes, by what they pack. */
const smallest = {
  rows: { rows: 32, columns: 128 },
  columns: { rows: 64, columns: 32 },
  both: { rows: 32, columns: 32 },
} as const;

/**
 * Cuts `batch` outputs of rows by columns into tiles: the largest allowed, or smaller ones if there are too few items for
 * the threads. Depends on the shape alone, so that results do not depend on the number of threads.
 */
export function tile(
  { batch, rows, columns, depth }: Readonly<Record<'batch' | 'rows' | 'columns' | 'depth', number>>,
  { packs, rowPanel, columnPanel, ...limits }: TileLimits,
): Tiling {
  for (;;) {
    const rowBlocks = cut(rows, limits.rows, rowPanel);
    const columnBlocks = cut(columns, limits.columns, columnPanel);
    const items = batch * rowBlocks.count * columnBlocks.count;
    const work = Math.min(rows, rowBlocks.size) * Math.min(columns, columnBlocks.size) * Math.max(1, depth);
    const canCutRows = rowBlocks.size >= 2 * smallest[packs].rows;
    const canCutColumns = columnBlocks.size >= 2 * smallest[packs].columns;
    if (items >= enoughItems || work < 2 * smallItem || !(canCutRows || canCutColumns)) {
      const itemsPerUnit = Math.max(1, Math.min(Math.ceil(smallUnit / work), Math.ceil(items / enoughItems)));
      return { rows: rowBlocks, columns: columnBlocks, items, itemsPerUnit, units: Math.ceil(items / itemsPerUnit) };
    }
    const rowsFirst = packs === 'both' ? rowBlocks.size > columnBlocks.size : packs === 'rows';
    if (rowsFirst ? canCutRows : !canCutColumns) limits.rows = rowBlocks.size / 2;
    else limits.columns = columnBlocks.size / 2;
  }
}
