import { sizeOf, stridesOf } from '../../../shape.ts';
import { blockColumns, blockRows } from '../microKernel.ts';
import { panelPlaces, planPack } from '../packing/planPack.ts';
import { gemmWords, type Operand, skinnyWords } from '../parameters.ts';
import {
  type ContractionCall,
  type ContractionDType,
  type ContractionPlan,
  nothing,
  pointer,
  roundUp,
  storageOf,
  type View,
  wordsOf,
} from '../plan.ts';
import { depthBlock, tile } from '../tiling.ts';

/** Most rows of A for which B is not packed at all. */
const skinnyRows = 5;
/** Most rows of A for which each tile packs its own columns of B: few rows of tiles repeat the packing. */
const fewRows = 192;

/** A batch dimension; steps in bytes. */
interface BatchDimension {
  readonly size: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** C[rows, columns] = A[rows, depth]·B[depth, columns]; offsets and steps in bytes. */
interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly a: { readonly operand: Operand; readonly offset: number; readonly row: number; readonly along: number };
  readonly b: { readonly operand: Operand; readonly offset: number; readonly along: number; readonly column: number };
  readonly c: { readonly offset: number; readonly row: number; readonly column: number };
  /** The last dimension first. */
  readonly batch: readonly BatchDimension[];
}

/**
 * Plans out[…, M, N] = a[…, M, K]·b[…, K, N]. Batch dimensions are equal; broadcast ones have stride 0. `out` must not
 * overlap itself or the inputs.
 */
export function planMatmul(
  dtype: ContractionDType,
  { a, b, out }: { readonly a: View; readonly b: View; readonly out: View },
): ContractionPlan {
  const { bytes } = storageOf(dtype);
  const [rows, depth] = a.shape.slice(-2) as [number, number];
  const columns = b.shape.at(-1) as number;
  const batchShape = a.shape.slice(0, -2);
  if (sizeOf(batchShape) * rows * columns === 0) return nothing;
  const [aSteps, bSteps, cSteps] = [a, b, out].map((view) =>
    (view.strides ?? stridesOf(view.shape)).map((stride) => stride * bytes),
  ) as [number[], number[], number[]];
  const offset = (view: View): number => (view.offset ?? 0) * bytes;
  const rank = batchShape.length;
  const at = (steps: readonly number[], i: number): number => steps[i] as number;
  return planProduct(
    dtype,
    withoutBroadcasts({
      rows,
      columns,
      depth,
      a: { operand: 'a', offset: offset(a), row: at(aSteps, rank), along: at(aSteps, rank + 1) },
      b: { operand: 'b', offset: offset(b), along: at(bSteps, rank), column: at(bSteps, rank + 1) },
      c: { offset: offset(out), row: at(cSteps, rank), column: at(cSteps, rank + 1) },
      batch: batchShape.map((size, i) => ({ size, a: at(aSteps, i), b: at(bSteps, i), c: at(cSteps, i) })).reverse(),
    }),
  );
}

/**
 * Turns batch dimensions along which B does not change into rows of A, where they continue them. `webgpu` has its own
 * version, for the last batch dimension only, because C is always row-major there.
 */
function withoutBroadcasts(product: Product): Product {
  const batch = product.batch.filter(({ size }) => size !== 1);
  const { rows, a, c } = product;
  const index = batch.findIndex(
    (dimension) => dimension.b === 0 && (rows === 1 || (dimension.a === rows * a.row && dimension.c === rows * c.row)),
  );
  const found = batch[index];
  if (found === undefined) return { ...product, batch };
  return withoutBroadcasts({
    ...product,
    rows: rows * found.size,
    a: rows === 1 ? { ...a, row: found.a } : a,
    c: rows === 1 ? { ...c, row: found.c } : c,
    batch: batch.filter((_, i) => i !== index),
  });
}

/** The same product as Cᵀ = Bᵀ·Aᵀ. */
const transposed = ({ rows, columns, depth, a, b, c, batch }: Product): Product => ({
  rows: columns,
  columns: rows,
  depth,
  a: { operand: b.operand, offset: b.offset, row: b.column, along: b.along },
  b: { operand: a.operand, offset: a.offset, along: a.along, column: a.row },
  c: { offset: c.offset, row: c.column, column: c.row },
  batch: batch.map((dimension) => ({ ...dimension, a: dimension.b, b: dimension.a })),
});

function planProduct(dtype: ContractionDType, product: Product): ContractionPlan {
  const { bytes } = storageOf(dtype);
  const other = transposed(product);
  // B can be read in place if its rows or its columns are contiguous.
  const isSkinny = ({ rows, columns, depth, b }: Product): boolean =>
    rows <= skinnyRows && depth > 0 && (b.column === bytes || b.along === bytes || columns === 1 || depth === 1);
  if (product.rows <= product.columns && isSkinny(product)) return planSkinny(dtype, product);
  if (isSkinny(other)) return planSkinny(dtype, other);
  if (isSkinny(product)) return planSkinny(dtype, product);
  return planGemm(dtype, product.c.column !== bytes && product.c.row === bytes ? other : product);
}

const batchSize = ({ batch }: Product): number => sizeOf(batch.map(({ size }) => size));

const batchTail = (batch: readonly BatchDimension[], b: (i: number) => number): number[] =>
  batch.flatMap((dimension, i) => [dimension.size, dimension.a, b(i), dimension.c]);

function planSkinny(dtype: ContractionDType, product: Product): ContractionPlan {
  const { bytes, element } = storageOf(dtype);
  const { rows, columns, depth, a, b, c, batch } = product;
  const byRows = b.column === bytes || (columns === 1 && b.along !== bytes);
  const { columns: blocks, ...tiling } = tile(
    { batch: batchSize(product), rows, columns, depth },
    { rows, columns: 512, rowPanel: rows, columnPanel: 16, packs: 'rows' },
  );
  const sums = a.along === bytes ? 0 : roundUp(rows * depth * bytes, 16);
  const words = wordsOf(
    skinnyWords,
    {
      a: pointer(a.operand, a.offset),
      b: pointer(b.operand, b.offset),
      c: pointer('out', c.offset),
      rows,
      columns,
      depth,
      aRow: a.row,
      aAlong: a.along,
      bAlong: byRows ? b.along : bytes,
      bColumn: byRows ? bytes : b.column,
      cRow: c.row,
      cColumn: c.column,
      columnBlock: blocks.size,
      columnBlocks: blocks.count,
      items: tiling.items,
      itemsPerUnit: tiling.itemsPerUnit,
      sums,
      rank: batch.length,
    },
    batchTail(batch, (i) => (batch[i] as BatchDimension).b),
  );
  return {
    phases: [[{ name: `skinny_${element}`, units: tiling.units, words }]],
    scratchBytes: 0,
    threadScratchBytes: sums + rows * blocks.size * bytes + 16,
  };
}

function planGemm(dtype: ContractionDType, product: Product): ContractionPlan {
  const storage = storageOf(dtype);
  const { bytes, element } = storage;
  const { rows, columns, depth, a, b, c, batch } = product;
  const panel = blockColumns(storage);
  /** B is packed by a phase of its own. */
  const packed = rows > fewRows;
  const tiling = tile(
    { batch: batchSize(product), rows, columns, depth },
    {
      rows: packed ? 128 : fewRows,
      columns: packed ? 512 : 256,
      rowPanel: blockRows,
      columnPanel: panel,
      packs: packed ? 'rows' : 'both',
    },
  );
  const blockDepth = depthBlock(depth);
  const padded = roundUp(columns, panel);
  const { steps: panelSteps, count: panels } = panelPlaces(
    batch.map(({ size, b }) => ({ size, from: b })),
    depth * padded * bytes,
  );
  const bScratch = roundUp(tiling.rows.size * blockDepth * bytes, 64);
  const tilePlace = bScratch + (packed ? 0 : roundUp(tiling.columns.size * blockDepth * bytes, 64));
  const table = tilePlace + tiling.rows.size * panel * bytes;
  const words = wordsOf(
    gemmWords,
    {
      a: pointer(a.operand, a.offset),
      b: packed ? pointer('scratch', 0) : pointer(b.operand, b.offset),
      c: pointer('out', c.offset),
      rows,
      columns,
      depth,
      aRow: a.row,
      aAlong: a.along,
      bAlong: b.along,
      bColumn: packed ? 0 : b.column,
      packed: Number(packed),
      padded,
      cRow: c.row,
      cColumn: c.column,
      blockDepth,
      rowBlock: tiling.rows.size,
      rowBlocks: tiling.rows.count,
      columnBlock: tiling.columns.size,
      columnBlocks: tiling.columns.count,
      items: tiling.items,
      itemsPerUnit: tiling.itemsPerUnit,
      bScratch,
      tile: tilePlace,
      table,
      rank: batch.length,
    },
    batchTail(batch, (i) => (packed ? (panelSteps[i] as number) : (batch[i] as BatchDimension).b)),
  );
  const gemm: ContractionCall = { name: `gemm_${element}`, units: tiling.units, words };
  const pack =
    packed && depth > 0
      ? [
          [
            planPack(dtype, 'columns', {
              from: pointer(b.operand, b.offset),
              to: pointer('scratch', 0),
              lines: columns,
              across: b.column,
              depth,
              along: b.along,
              batch: batch.map((dimension, i) => ({
                size: dimension.size,
                from: dimension.b,
                to: panelSteps[i] as number,
              })),
            }),
          ],
        ]
      : [];
  return {
    phases: [...pack, [gemm]],
    scratchBytes: packed ? panels * depth * padded * bytes : 0,
    threadScratchBytes: table + (tiling.columns.size + panel) * 4,
  };
}
