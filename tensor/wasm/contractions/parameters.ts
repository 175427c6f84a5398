import { get } from '../assembler/control.ts';
import { type I32, i32, type Local } from '../assembler/instructions.ts';

/** What a contraction reads, writes and works in: its inputs, from a on, its output, and scratch. */
export type Operand = 'a' | 'b' | 'c' | 'd' | 'e' | 'out' | 'scratch';

/** The address of an operand, plus an offset in bytes. Only known when a plan runs. */
export interface Pointer {
  readonly operand: Operand;
  readonly offset: number;
}

/** An i32 of a parameter block. */
export type Word = number | Pointer;

/**
 * The parameter blocks of the exported functions, word by word. Steps and strides are in bytes, sizes in elements.
 * After the named words follow the lists that `tail` describes.
 */
export const packWords = [
  'from', // The matrix,
  'to', // where its panels go,
  'width', // its lines (rows of A, columns of B),
  'across', // and the step from line to line.
  'size0', // The contracted dimension, as four nested ones, the last changing fastest,
  'size1',
  'size2',
  'inner',
  'step0', // and their steps.
  'step1',
  'step2',
  'along',
  'depth', // Their product,
  'blockDepth', // cut into blocks of this.
  'widthBlock', // Lines of one item, a multiple of the panel's.
  'widthBlocks', // Items are counted by line block, then by block of the contracted dimension, then by batch.
  'depthBlocks',
  'padded', // The width with the panels' padding.
  'items',
  'itemsPerUnit',
  'rank', // Batch dimensions. Tail: [size, step of from, step of to] for each, the last one first.
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
  'bColumn', // 0 where b holds panels packed beforehand.
  'packed', // Whether it does: then 1.
  'padded', // Columns with the panels' padding.
  'cRow',
  'cColumn',
  'blockDepth',
  'rowBlock',
  'rowBlocks',
  'columnBlock',
  'columnBlocks', // Items are counted by column block, then by row block, then by batch.
  'items',
  'itemsPerUnit',
  'bScratch', // Offsets in the thread's scratch; the panels of A are at its start.
  'tile',
  'table',
  'rank', // Batch dimensions. Tail: [size, step of a, step of b, step of c] for each, the last one first.
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
  'bColumn', // One of the last two is the size of an element.
  'cRow',
  'cColumn',
  'columnBlock',
  'columnBlocks',
  'items',
  'itemsPerUnit',
  'sums', // Offset in the thread's scratch; contiguous rows of A are at its start.
  'rank', // As for gemm.
] as const;

export const padWords = [
  'from',
  'to',
  'size0', // Rows of the padded copy: image, channel, z, y.
  'size1',
  'size2',
  'size3',
  'fromStep0', // Steps of images and channels in the source and in the copy.
  'fromStep1',
  'toStep0',
  'toStep1',
  'fromZ', // Steps of planes and rows of the source,
  'fromY',
  'toZ', // of the copy,
  'toY',
  'beforeZ', // and how many planes and rows of the copy come before the first of the source.
  'beforeY',
  'sizeZ',
  'sizeY',
  'rowBytes', // Of the copy, all of them written.
  'fromX', // Step of the source within a residue.
  'rows',
  'rowsPerUnit',
  'residues', // Tail: [offset in the source row, zeros before, elements, zeros after] for each residue.
  'residueBytes', // Of a row of the copy.
] as const;

export const convWords = [
  'x', // The padded copy.
  'weights', // Packed panels, all of a group, then the next group.
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
  'byTaps', // Whether elements along the contracted dimension, not along the positions, are contiguous.
  'channels', // The contracted dimension: channels of a group, and taps along z, y and x, which change fastest.
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
  'tile', // Offsets in the thread's scratch; the panels of B are at its start.
  'xTable',
  'outTable',
  'tapTable',
  'listTapsZ', // Tail: lists of offsets in x, in bytes, by tap and by position; these are where each list begins, in
  'listTapsY', // bytes from the start of the block.
  'listTapsX',
  'listZ',
  'listY',
  'listX',
] as const;

/** What `attention` and `attentionGradient` share. */
const attentionShape = [
  'q',
  'qRow',
  'qAlong',
  'bias', // Its steps from query to query and from key to key, and whether there is one.
  'biasRow',
  'biasAlong',
  'biased',
  'causal',
  'queries',
  'keys',
  'dim',
  'width',
  'dimBlock', // Packed panels are cut into such blocks along what they contract,
  'keyBlock',
  'kRows', // K as rows of keys, contracting dim.
  'blocks', // Items are counted by block of queries, then by batch.
  'items',
  'itemsPerUnit',
  'rank', // Batch dimensions, the last one first. Tail: [size, steps of the pointers] for each.
] as const;

export const attentionWords = [
  ...attentionShape,
  'vColumns', // V as rows of its columns, contracting keys.
  'out',
  'perItem', // Queries of an item.
  'queryPanel', // Offsets in the thread's scratch,
  'biasPanel',
  'tile',
  'scores', // of which this one comes last.
] as const;

export const attentionGradientWords = [
  ...attentionShape,
  'widthBlock',
  'g',
  'gRow',
  'gAlong',
  'kColumns', // K as rows of its columns, contracting keys.
  'vRows', // V as rows of keys, contracting width.
  'byQ', // Where the gradient by q goes.
  'byK', // Sums for the gradients by k and v, of each item its own, with rows of these steps.
  'byV',
  'byKRow',
  'byVRow',
  'byKBytes',
  'byVBytes',
  'queryBlock', // Queries that are worked on at once,
  'perItem', // and in an item.
  'queryPanel', // Offsets in the thread's scratch: q and g as columns of queries,
  'gPanel',
  'queryColumns', // and both as columns of their own, contracting queries;
  'gColumns',
  'columnBytes', // the size of the last two together;
  'biasPanel',
  'tile',
  'weightRows', // the weights and the gradients by the scores of the block, as rows of keys;
  'scoreRows',
  'weights', // and both of the panel at hand.
  'byScores',
] as const;

export const attentionSumWords = [
  'from', // Sums of one part, `parts` of them `partBytes` apart,
  'to', // and where their total goes: rows of `width`, with steps fromRow and toRow.
  'fromRow',
  'toRow',
  'parts',
  'partBytes',
  'rows',
  'width',
  'rowBlock',
  'blocks', // Items are counted by block of rows, then by matrix,
  'fromStep', // whose steps these are.
  'toStep',
  'items',
  'itemsPerUnit',
] as const;

/** Reads words of the block that starts at `base`. */
export const wordsAt =
  <N extends string>(names: readonly N[], base: Local<'i32'>) =>
  (name: N): I32 =>
    i32.load(get(base), names.indexOf(name) * 4);

/** The words of a block in order. */
export const wordsOf = <N extends string>(
  names: readonly N[],
  values: Readonly<Record<N, Word>>,
  tail: readonly Word[] = [],
): Word[] => [...names.map((name) => values[name]), ...tail];

/** The words with every pointer replaced by an address. */
export const bindWords = (words: readonly Word[], addresses: Readonly<Partial<Record<Operand, number>>>): Int32Array =>
  Int32Array.from(words, (word) => (typeof word === 'number' ? word : (addresses[word.operand] ?? 0) + word.offset));
