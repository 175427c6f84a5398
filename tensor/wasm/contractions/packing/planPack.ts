import { iterations } from '../../../compiler/iterations.ts';
import { blockColumns, blockRows } from '../microKernel.ts';
import { packWords, type Word } from '../parameters.ts';
import { type ContractionCall, type ContractionDType, roundUp, storageOf, wordsOf } from '../plan.ts';
import { depthBlock, tile } from '../tiling.ts';

/** A batch dimension of a matrix to pack; steps in bytes. */
interface PackedDimension {
  readonly size: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Places the panels of a batch of matrices one after the other. Returns the step of each batch dimension (0 along
 * broadcast ones) and the number of distinct matrices.
 */
export function panelPlaces(
  batch: readonly Pick<PackedDimension, 'size' | 'from'>[],
  panelBytes: number,
): { readonly steps: readonly number[]; readonly count: number } {
  let count = 1;
  const steps = batch.map(({ size, from }) => {
    if (from === 0) return 0;
    const step = count * panelBytes;
    count *= size;
    return step;
  });
  return { steps, count };
}

/** Plans the packing of a batch of matrices: `lines` rows of A or columns of B, `depth` steps deep. */
export function planPack(
  dtype: ContractionDType,
  kind: 'rows' | 'columns',
  matrix: {
    readonly from: Word;
    readonly to: Word;
    readonly lines: number;
    readonly across: number;
    readonly depth: number;
    readonly along: number;
    readonly batch: readonly PackedDimension[];
  },
): ContractionCall {
  const storage = storageOf(dtype);
  const { from, to, lines, across, depth, along } = matrix;
  const panel = kind === 'rows' ? blockRows : blockColumns(storage);
  const blockDepth = depthBlock(depth);
  const depthBlocks = Math.ceil(depth / blockDepth);
  const batch = matrix.batch.filter((dimension) => dimension.from !== 0);
  const matrices = iterations(batch);
  const blocks = tile(
    { batch: matrices * depthBlocks, rows: 1, columns: lines, depth: blockDepth * 16 },
    { rows: 1, columns: 256, rowPanel: 1, columnPanel: panel, packs: 'both' },
  );
  return {
    name: `${kind === 'rows' ? 'packRows' : 'packColumns'}${storage.bits}`,
    units: blocks.units,
    words: wordsOf(
      packWords,
      {
        from,
        to,
        width: lines,
        across,
        size0: 1,
        size1: 1,
        size2: 1,
        inner: depth,
        step0: 0,
        step1: 0,
        step2: 0,
        along,
        depth,
        blockDepth,
        widthBlock: blocks.columns.size,
        widthBlocks: blocks.columns.count,
        depthBlocks,
        padded: kind === 'rows' ? lines : roundUp(lines, panel),
        items: blocks.items,
        itemsPerUnit: blocks.itemsPerUnit,
        rank: batch.length,
      },
      batch.flatMap((dimension) => [dimension.size, dimension.from, dimension.to]),
    ),
  };
}
