import { get } from '../assembler/control.ts';
import { type I32, i32, type Local } from '../assembler/instructions.ts';

/** The memory of a contraction: inputs a to e, the output, and scratch memory. */
export type Operand = 'a' | 'b' | 'c' | 'd' | 'e' | 'out' | 'scratch';

/** The address of an operand, known when a plan runs, plus an offset in bytes. */
export interface Pointer {
  readonly operand: Operand;
  readonly offset: number;
}

/** An i32 of a parameter block. */
export type Word = number | Pointer;

/**
 * The parameter blocks of the exported functions, word by word. Steps are strides in bytes; sizes are in elements. The
 * lists of the tail follow the named words.
 */
export const packWords = [
  'from', // The matrix.
  'to', // Its panels.
  'width', // Number of its lines (rows of A, columns of B).
  'across', // Step from line to line.
  'size0', // Sizes of the contracted dimension as four nested ones, the last changing fastest.
  'size1',
  'size2',
  'inner',
  'step0', // Their steps.
  'step1',
  'step2',
  'along',
  'depth', // The product of their sizes.
  'blockDepth', // Blocks that it is cut into.
  'widthBlock', // Lines of an item, a multiple of a panel's.
  'widthBlocks', // Items are counted by line block, then by block of the contracted dimension, then by batch.
  'depthBlocks',
  'padded', // Lines including the padding of panels.
  'items',
  'itemsPerUnit',
  'rank', // Batch dimensions. Tail: [size, step of from, step of to] of each, the last one first.
] as const;

export const gemmWords = [
  'a',
  'b', // The matrix B, or its panels.
  'c',
  'rows',
  'columns',
  'depth',
  'aRow',
  'aAlong',
  'bAlong',
  'bColumn', // 0 if b holds panels packed beforehand.
  'packed', // 1 if b holds panels, else 0.
  'padded', // Columns including the padding of panels.
  'cRow',
  'cColumn',
  'blockDepth',
  'rowBlock',
  'rowBlocks',
  'columnBlock',
  'columnBlocks', // Items are counted by column block, then by row block, then by batch.
  'items',
  'itemsPerUnit',
  'bScratch', // Offsets in the thread's scratch memory, which starts with the panels of A.
  'tile',
  'table',
  'rank', // Batch dimensions. Tail: [size, step of a, step of b, step of c] of each, the last one first.
] as const;

export const skinnyWords = [
  'a',
  'b',
  'c',
  'rows',
  'columns',
  'depth',
  'aRow',
  'aAlong',
  'bAlong',
  'bColumn', // bAlong or bColumn is the size of an element.
  'cRow',
  'cColumn',
  'columnBlock',
  'columnBlocks',
  'items',
  'itemsPerUnit',
  'sums', // Offset in the thread's scratch memory, which starts with contiguous rows of A.
  'rank', // As for gemm.
] as const;

export const padWords = [
  'from',
  'to',
  'size0', // Sizes of the padded copy: images, channels, z, y.
  'size1',
  'size2',
  'size3',
  'fromStep0', // Steps of images and channels, of the source and of the copy.
  'fromStep1',
  'toStep0',
  'toStep1',
  'fromZ', // Steps of planes and rows, of the source and of the copy.
  'fromY',
  'toZ',
  'toY',
  'beforeZ', // Planes and rows of the copy before the first of the source.
  'beforeY',
  'sizeZ',
  'sizeY',
  'rowBytes', // Bytes of a row of the copy.
  'fromX', // Step of the source within a residue.
  'rows',
  'rowsPerUnit',
  'residues', // Tail: [offset in the source row, zeros before, elements, zeros after] of each residue.
  'residueBytes', // Bytes of a residue in a row of the copy.
] as const;

export const convWords = [
  'x', // The padded copy.
  'weights', // Packed panels, group by group.
  'out',
  'rows', // Output channels of a group.
  'columns', // Output positions of all images.
  'depth',
  'blockDepth',
  'xGroup', // Steps from group to group.
  'weightsGroup',
  'outGroup',
  'outRow',
  'rowBlock',
  'rowBlocks',
  'columnBlock',
  'columnBlocks', // Items are counted by column block, then by row block, then by group.
  'items',
  'itemsPerUnit',
  'byTaps', // 1 if x is contiguous along the contracted dimension, 0 if along the positions.
  'channels', // The contracted dimension: channels of a group, then taps along z, y and x, the last changing fastest.
  'tapsZ',
  'tapsY',
  'tapsX',
  'xChannel',
  'positionsZ',
  'positionsY',
  'positionsX',
  'xImage',
  'outImage',
  'outZ',
  'outY',
  'outX',
  'tile', // Offsets in the thread's scratch memory, which starts with the panels of B.
  'xTable',
  'outTable',
  'tapTable',
  'listTapsZ', // Tail: lists of offsets in x, by tap and by position, in bytes.
  'listTapsY', // These words are the offsets of the lists in the parameter block.
  'listTapsX',
  'listZ',
  'listY',
  'listX',
] as const;

/** The words that `attention` and `attentionGradient` share. */
const attentionShape = [
  'q',
  'qRow',
  'qAlong',
  'bias',
  'biasRow', // Step from query to query.
  'biasAlong', // Step from key to key.
  'biased', // 1 if there is a bias, else 0.
  'causal',
  'queries',
  'keys',
  'dim',
  'width',
  'dimBlock', // Blocks that packed panels are cut into along the contracted dimension.
  'keyBlock',
  'kRows', // k packed as rows of keys, contracting dim.
  'blocks', // Items are counted by block of queries, then by batch.
  'items',
  'itemsPerUnit',
  'rank', // Batch dimensions. Tail: [size, steps of the pointers] of each, the last one first.
] as const;

export const attentionWords = [
  ...attentionShape,
  'vColumns', // v packed as rows of its columns, contracting keys.
  'out',
  'perItem', // Queries of an item.
  'queryPanel', // Offsets in the thread's scratch memory.
  'biasPanel',
  'tile',
  'scores',
] as const;

export const attentionGradientWords = [
  ...attentionShape,
  'widthBlock',
  'g',
  'gRow',
  'gAlong',
  'kColumns', // k packed as rows of its columns, contracting keys.
  'vRows', // v packed as rows of keys, contracting width.
  'byQ', // The gradient by q.
  'byK', // The parts of the gradients by k and v, a matrix for each item.
  'byV',
  'byKRow', // Steps from row to row.
  'byVRow',
  'byKBytes', // Bytes of a matrix.
  'byVBytes',
  'queryBlock', // Queries of a block.
  'perItem', // Queries of an item.
  'queryPanel', // Offsets in the thread's scratch memory. A panel of q and of g, with queries as columns.
  'gPanel',
  'queryColumns', // A block of q and of g, contracting queries.
  'gColumns',
  'columnBytes', // Bytes of these two together.
  'biasPanel',
  'tile',
  'weightRows', // The weights of a block and ∂L/∂scores, packed as rows of keys.
  'scoreRows',
  'weights', // The weights of a panel and ∂L/∂scores.
  'byScores',
] as const;

export const attentionSumWords = [
  'from', // The first part; there are `parts`, `partBytes` apart.
  'to', // The sum.
  'fromRow', // Steps from row to row.
  'toRow',
  'parts',
  'partBytes',
  'rows',
  'width',
  'rowBlock',
  'blocks', // Items are counted by block of rows, then by sum.
  'fromStep', // Steps from sum to sum.
  'toStep',
  'items',
  'itemsPerUnit',
] as const;

/** Loads words of the parameter block at `base`, by name. */
export const wordsAt =
  <N extends string>(names: readonly N[], base: Local<'i32'>) =>
  (name: N): I32 =>
    i32.load(get(base), names.indexOf(name) * 4);

/** The words of a parameter block, in order. */
export const wordsOf = <N extends string>(
  names: readonly N[],
  values: Readonly<Record<N, Word>>,
  tail: readonly Word[] = [],
): Word[] => [...names.map((name) => values[name]), ...tail];

/** Words with pointers replaced by addresses. */
export const bindWords = (words: readonly Word[], addresses: Readonly<Partial<Record<Operand, number>>>): Int32Array =>
  Int32Array.from(words, (word) => (typeof word === 'number' ? word : (addresses[word.operand] ?? 0) + word.offset));
