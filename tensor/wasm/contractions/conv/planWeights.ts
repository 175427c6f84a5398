import { iterations } from '../../../compiler/iterations.ts';
import { blockRows } from '../microKernel.ts';
import { packWords, type Word } from '../parameters.ts';
import { type ContractionCall, type ContractionDType, storageOf, wordsOf } from '../plan.ts';
import { depthBlock, tile } from '../tiling.ts';

/** A dimension; step in bytes. */
export interface Dimension {
  readonly size: number;
  readonly step: number;
}

/** Merges neighbouring dimensions where memory allows, so that the last one is as long as possible. Outermost first. */
function merged(dimensions: readonly Dimension[]): Dimension[] {
  const list: Dimension[] = [];
  for (const dimension of dimensions.filter(({ size }) => size !== 1)) {
    const last = list.at(-1);
    if (last !== undefined && last.step === dimension.size * dimension.step) {
      list[list.length - 1] = { size: last.size * dimension.size, step: dimension.step };
    } else list.push(dimension);
  }
  return list;
}

/**
 * Plans the packing of the weights of all groups: `rows` output channels per group, `across` bytes apart, along the four
 * contracted dimensions.
 */
export function planWeights(
  dtype: ContractionDType,
  place: { readonly from: Word; readonly to: Word },
  { groups, rows, across }: { readonly groups: number; readonly rows: number; readonly across: number },
  contracted: readonly Dimension[],
): ContractionCall {
  const { bits, bytes } = storageOf(dtype);
  const depth = iterations(contracted);
  const blockDepth = depthBlock(depth);
  const depthBlocks = Math.ceil(depth / blockDepth);
  const tiling = tile(
    { batch: groups * depthBlocks, rows: 1, columns: rows, depth: blockDepth * 16 },
    { rows: 1, columns: 64, rowPanel: 1, columnPanel: blockRows, packs: 'both' },
  );
  const list = merged(contracted);
  const [a, b, c, inner] = [...new Array(4 - list.length).fill({ size: 1, step: bytes }), ...list] as [
    Dimension,
    Dimension,
    Dimension,
    Dimension,
  ];
  return {
    name: `packRows${bits}`,
    units: depth === 0 ? 0 : tiling.units,
    words: wordsOf(
      packWords,
      {
        ...place,
        width: rows,
        across,
        size0: a.size,
        size1: b.size,
        size2: c.size,
        inner: inner.size,
        step0: a.step,
        step1: b.step,
        step2: c.step,
        along: inner.step,
        depth,
        blockDepth,
        widthBlock: tiling.columns.size,
        widthBlocks: tiling.columns.count,
        depthBlocks,
        padded: rows,
        items: tiling.items,
        itemsPerUnit: tiling.itemsPerUnit,
        rank: 1,
      },
      [groups, rows * across, rows * depth * bytes],
    ),
  };
}
