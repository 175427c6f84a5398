import type { AttentionAttributes } from '../../../primitives.ts';
import { sizeOf, stridesOf } from '../../../shape.ts';
import { blockColumns, blockRows } from '../microKernel.ts';
import { panelPlaces, planPack } from '../packing/planPack.ts';
import { attentionGradientWords, attentionSumWords, attentionWords, type Operand } from '../parameters.ts';
import {
  type ContractionCall,
  type ContractionPlan,
  pointer,
  roundUp,
  storageOf,
  type View,
  type Word,
  wordsOf,
} from '../plan.ts';
import { cut, depthBlock } from '../tiling.ts';

/** Items enough to keep the threads of any usual machine evenly busy. */
const enoughItems = 32;
/** Parts of a gradient, for all batch entries together: few, since each has matrices of its own for keys and values. */
const enoughParts = 8;
/** Most queries of an item. */
const mostQueries = 64;
/** Bytes for the weights of a block of queries and their gradients: a part of the L2 cache. */
const blockBytes = 2 ** 18;
/** Scores of an item below which items share a unit. */
const smallUnit = 4096;

/** An operand as matrices over its last two axes; offset and steps in bytes. */
interface Matrix {
  readonly operand: Operand;
  readonly offset: number;
  readonly row: number;
  readonly along: number;
  /** Steps of the batch dimensions, the last one first. */
  readonly batch: readonly number[];
}

function matrixOf(operand: Operand, view: View, bytes: number): Matrix {
  const steps = (view.strides ?? stridesOf(view.shape)).map((stride) => stride * bytes);
  const [row, along] = steps.slice(-2) as [number, number];
  return { operand, offset: (view.offset ?? 0) * bytes, row, along, batch: steps.slice(0, -2).reverse() };
}

interface Sizes {
  readonly batch: readonly number[];
  readonly count: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly width: number;
}

function sizesOf(q: View, v: View): Sizes {
  const [queries, dim] = q.shape.slice(-2) as [number, number];
  const [keys, width] = v.shape.slice(-2) as [number, number];
  const batch = q.shape.slice(0, -2).reverse();
  return { batch, count: sizeOf(batch), queries, keys, dim, width };
}

/** Lays out a block of memory: `take` returns the offset of the next piece. */
function layout() {
  let bytes = 0;
  const take = (size: number): number => {
    const place = bytes;
    bytes += roundUp(size, 64);
    return place;
  };
  return { take, total: () => bytes };
}

/** Plans the packing of matrices that all items read. */
function packing(dtype: 'f32' | 'f64', sizes: Sizes, take: (bytes: number) => number) {
  const { bytes } = storageOf(dtype);
  const calls: ContractionCall[] = [];
  /** Packs `lines` rows, `across` bytes apart, as rows of A; returns the address of their panels and the batch's steps. */
  const rows = (matrix: Matrix, lines: number, across: number, depth: number, along: number) => {
    const dimensions = sizes.batch.map((size, i) => ({ size, from: matrix.batch[i] as number }));
    const panels = panelPlaces(dimensions, lines * depth * bytes);
    const to = pointer('scratch', take(panels.count * lines * depth * bytes));
    const batch = dimensions.map((dimension, i) => ({ ...dimension, to: panels.steps[i] as number }));
    const from = pointer(matrix.operand, matrix.offset);
    calls.push(planPack(dtype, 'rows', { from, to, lines, across, depth, along, batch }));
    return { to, steps: panels.steps };
  };
  return { calls, rows };
}

const noBias = { bias: 0, biasRow: 0, biasAlong: 0, biased: 0 };

/** The words that both kernels share, except those of items. */
function shapeWords({ queries, keys, dim, width, batch }: Sizes, q: Matrix, bias: Matrix | undefined, causal: boolean) {
  return {
    q: pointer(q.operand, q.offset),
    qRow: q.row,
    qAlong: q.along,
    ...(bias === undefined
      ? noBias
      : { bias: pointer(bias.operand, bias.offset), biasRow: bias.row, biasAlong: bias.along, biased: 1 }),
    causal: Number(causal),
    queries,
    keys,
    dim,
    width,
    dimBlock: depthBlock(dim),
    keyBlock: depthBlock(keys),
    rank: batch.length,
  };
}

/** The tail of a parameter block: [size, step of each pointer] of each batch dimension. */
const batchTail = ({ batch }: Sizes, ...steps: readonly (readonly number[])[]): number[] =>
  batch.flatMap((size, i) => [size, ...steps.map((list) => list[i] as number)]);

const zeros = ({ batch }: Sizes): number[] => batch.map(() => 0);

/** Steps of the batch dimensions of an array whose matrices are `bytes` apart. */
const evenSteps = ({ batch }: Sizes, bytes: number): number[] => batch.map((_, i) => bytes * sizeOf(batch.slice(0, i)));

/**
 * Plans softmax(q·kᵀ + bias)·v over the last two axes. Batch dimensions are equal; broadcast ones have stride 0. Operands
 * a, b, c and e are q, k, v and the bias.
 */
export function planAttention(
  dtype: 'f32' | 'f64',
  views: { readonly q: View; readonly k: View; readonly v: View; readonly bias?: View | undefined },
  { causal }: AttentionAttributes,
): ContractionPlan {
  const storage = storageOf(dtype);
  const { bytes } = storage;
  const sizes = sizesOf(views.q, views.v);
  const { count, queries, keys, dim, width } = sizes;
  const [q, k, v] = [matrixOf('a', views.q, bytes), matrixOf('b', views.k, bytes), matrixOf('c', views.v, bytes)];
  const bias = views.bias === undefined ? undefined : matrixOf('e', views.bias, bytes);
  const shared = layout();
  const packed = packing(dtype, sizes, shared.take);
  const kRows = packed.rows(k, keys, k.row, dim, k.along);
  const vColumns = packed.rows(v, width, v.along, keys, v.row);
  const panel = blockColumns(storage);
  const limit = Math.min(mostQueries, Math.ceil((queries * count) / enoughItems));
  const blocks = cut(queries, Math.max(limit, panel), panel);
  const items = count * blocks.count;
  const itemsPerUnit = Math.max(
    1,
    Math.min(Math.ceil(items / enoughItems), Math.ceil(smallUnit / (blocks.size * keys))),
  );
  const row = panel * bytes;
  const thread = layout();
  const words = wordsOf(
    attentionWords,
    {
      ...shapeWords(sizes, q, bias, causal),
      kRows: kRows.to,
      vColumns: vColumns.to,
      out: pointer('out', 0),
      blocks: blocks.count,
      perItem: blocks.size,
      items,
      itemsPerUnit,
      queryPanel: thread.take(dim * row),
      biasPanel: thread.take(bias === undefined ? 0 : keys * row),
      tile: thread.take(width * row),
      scores: thread.take(keys * row),
    },
    batchTail(
      sizes,
      kRows.steps,
      vColumns.steps,
      q.batch,
      bias?.batch ?? zeros(sizes),
      evenSteps(sizes, queries * width * bytes),
    ),
  );
  const attention: ContractionCall = { name: `attention_${dtype}`, units: Math.ceil(items / itemsPerUnit), words };
  return { phases: [packed.calls, [attention]], scratchBytes: shared.total(), threadScratchBytes: thread.total() };
}

/**
 * Plans the gradients by q, k and v; the output holds, for each batch entry, the three one after the other. Operands are
 * those of `planAttention`, and d is the cotangent g.
 */
export function planAttentionGradient(
  dtype: 'f32' | 'f64',
  views: { readonly q: View; readonly k: View; readonly v: View; readonly g: View; readonly bias?: View | undefined },
  { causal }: AttentionAttributes,
): ContractionPlan {
  const storage = storageOf(dtype);
  const { bytes } = storage;
  const sizes = sizesOf(views.q, views.v);
  const { count, queries, keys, dim, width } = sizes;
  const [q, k, v] = [matrixOf('a', views.q, bytes), matrixOf('b', views.k, bytes), matrixOf('c', views.v, bytes)];
  const g = matrixOf('d', views.g, bytes);
  const bias = views.bias === undefined ? undefined : matrixOf('e', views.bias, bytes);
  const panel = blockColumns(storage);
  const row = panel * bytes;
  const filledKeys = roundUp(keys, blockRows);
  const fitting = Math.floor(blockBytes / (2 * filledKeys * bytes));
  const queryBlock = cut(queries, Math.min(mostQueries, Math.max(2 * panel, fitting)), panel).size;
  const wantedParts = Math.min(Math.ceil(enoughParts / count), Math.ceil(queries / queryBlock));
  const parts = cut(queries, Math.ceil(queries / wantedParts), queryBlock);
  const items = count * parts.count;

  const shared = layout();
  const packed = packing(dtype, sizes, shared.take);
  const kRows = packed.rows(k, keys, k.row, dim, k.along);
  const kColumns = packed.rows(k, dim, k.along, keys, k.row);
  const vRows = packed.rows(v, keys, v.row, width, v.along);
  const [byKRow, byVRow] = [roundUp(dim, panel) * bytes, roundUp(width, panel) * bytes];
  const [byKBytes, byVBytes] = [filledKeys * byKRow, filledKeys * byVRow];
  const [byK, byV] = [items * byKBytes, items * byVBytes].map((size) => pointer('scratch', shared.take(size))) as [
    Word,
    Word,
  ];
  const length = (queries * dim + keys * dim + keys * width) * bytes;
  const thread = layout();
  const [queryColumns, gColumns] = [thread.take(queryBlock * byKRow), thread.take(queryBlock * byVRow)];
  const words = wordsOf(
    attentionGradientWords,
    {
      ...shapeWords(sizes, q, bias, causal),
      widthBlock: depthBlock(width),
      kRows: kRows.to,
      kColumns: kColumns.to,
      vRows: vRows.to,
      g: pointer(g.operand, g.offset),
      gRow: g.row,
      gAlong: g.along,
      byQ: pointer('out', 0),
      byK,
      byV,
      byKRow,
      byVRow,
      byKBytes,
      byVBytes,
      queryBlock,
      blocks: parts.count,
      perItem: parts.size,
      items,
      itemsPerUnit: 1,
      queryColumns,
      gColumns,
      columnBytes: thread.total(),
      queryPanel: thread.take(dim * row),
      gPanel: thread.take(width * row),
      biasPanel: thread.take(bias === undefined ? 0 : keys * row),
      tile: thread.take(dim * row),
      weightRows: thread.take(filledKeys * queryBlock * bytes),
      scoreRows: thread.take(filledKeys * queryBlock * bytes),
      weights: thread.take(filledKeys * row),
      byScores: thread.take(filledKeys * row),
    },
    batchTail(
      sizes,
      kRows.steps,
      kColumns.steps,
      vRows.steps,
      q.batch,
      g.batch,
      bias?.batch ?? zeros(sizes),
      evenSteps(sizes, length),
    ),
  );
  const totals = (from: Word, fromRow: number, width: number, offset: number): ContractionCall => {
    const blocks = cut(keys, Math.max(16, Math.ceil((keys * count) / enoughItems)), 1);
    return {
      name: `attentionSum_${dtype}`,
      units: count * blocks.count,
      words: wordsOf(attentionSumWords, {
        from,
        to: pointer('out', offset * bytes),
        fromRow,
        toRow: width * bytes,
        parts: parts.count,
        partBytes: filledKeys * fromRow,
        rows: keys,
        width,
        rowBlock: blocks.size,
        blocks: blocks.count,
        fromStep: parts.count * filledKeys * fromRow,
        toStep: length,
        items: count * blocks.count,
        itemsPerUnit: 1,
      }),
    };
  };
  return {
    phases: [
      packed.calls,
      [{ name: `attentionGradient_${dtype}`, units: items, words }],
      [totals(byK, byKRow, dim, queries * dim), totals(byV, byVRow, width, queries * dim + keys * dim)],
    ],
    scratchBytes: shared.total(),
    threadScratchBytes: thread.total(),
  };
}
