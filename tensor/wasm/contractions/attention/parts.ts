import { forRange, get, increase, int, integers, minimum, product, set, sum } from '../../assembler/control.ts';
import { type I32, i32, type Local, memoryFill, type Statement, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import type { Element } from '../element.ts';
import type { RowsKernel } from '../microKernel.ts';
import type { PackPanels } from '../packing/packPanels.ts';
import type { Storage } from '../storage.ts';
import { addStoreLines, addToRows } from './panelMoves.ts';
import { type QueryPanel, queryPanel } from './queryPanel.ts';
import { addBias, addCausalMask, addDivide, addExponentials, addSoftmaxGradient } from './softmax.ts';

/**
 * Adds the functions that attention's kernels call. They work on one panel of queries at a time. A panel of scores is
 * [keys, queries], the layout in which it is the right operand of the next product.
 */
export function addAttentionParts(
  module: ModuleBuilder,
  element: Element,
  { transpose }: Storage,
  packColumns: PackPanels,
  rowsKernel: RowsKernel,
) {
  const panel = queryPanel(element);
  return {
    element,
    panel: panel.columns,
    packColumns,
    rowsKernel,
    products: addProducts(module, panel, rowsKernel),
    bias: addBias(module, panel),
    causalMask: addCausalMask(module, panel),
    exponentials: addExponentials(module, panel),
    divide: addDivide(module, panel),
    softmaxGradient: addSoftmaxGradient(module, panel),
    toRows: addToRows(module, panel, transpose),
    storeLines: addStoreLines(module, panel, transpose),
  };
}

export type AttentionParts = ReturnType<typeof addAttentionParts>;

/** (a, aLines, b, c, depth, blockDepth, rows): the panel c = a·b, with `aLines` packed rows in a, and the panel b. */
const addProducts = (module: ModuleBuilder, { element, rowBytes }: QueryPanel, rowsKernel: RowsKernel) =>
  module.function(
    { parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] },
    ([a, aLines, b, c, depth, blockDepth, rows], scope) => {
      const { k, blockSize } = integers(scope, 'k blockSize');
      return forRange(
        k,
        get(depth),
        get(blockDepth),
        set(blockSize, minimum(get(blockDepth), i32.sub(get(depth), get(k)))),
        rowsKernel.call(get(a), get(b), get(c), int(rowBytes), get(blockSize), get(rows), get(k)),
        increase(a, product(get(blockSize), get(aLines), int(element.bytes))),
        increase(b, product(get(blockSize), int(rowBytes))),
      );
    },
  );

/** Code for one panel of queries, from `query` on: scores, bias and causal mask, then exponentials and their sums. */
export function scorePanel(
  parts: AttentionParts,
  words: (
    name: 'keys' | 'dim' | 'dimBlock' | 'kRows' | 'qRow' | 'qAlong' | 'biased' | 'biasRow' | 'biasAlong' | 'causal',
  ) => I32,
  at: Readonly<Record<'k' | 'q' | 'bias' | 'query' | 'lines' | 'seen', Local<'i32'>>>,
  room: Readonly<Record<'queryPanel' | 'biasPanel' | 'scores', I32>>,
): Statement {
  const { packColumns, products, exponentials } = parts;
  const { k, q, bias, query, lines, seen } = at;
  const panelOf = (from: Local<'i32'>, along: I32, across: I32, depth: I32, to: I32): Statement =>
    packColumns.call(sum(get(from), product(get(query), across)), along, across, depth, get(lines), to, int(0), depth);
  return [
    panelOf(q, words('qAlong'), words('qRow'), words('dim'), room.queryPanel),
    products.call(get(k), words('keys'), room.queryPanel, room.scores, words('dim'), words('dimBlock'), get(seen)),
    when(words('biased'), [
      panelOf(bias, words('biasAlong'), words('biasRow'), get(seen), room.biasPanel),
      parts.bias.call(room.scores, room.biasPanel, get(seen)),
    ]),
    when(words('causal'), [parts.causalMask.call(room.scores, get(query), get(seen))]),
    exponentials.call(room.scores, get(seen), room.queryPanel),
  ];
}

/** Fills the rows of a panel from `from` up to `to` with zeros. */
export const clearRows = ({ element, panel }: AttentionParts, scores: I32, from: I32, to: I32): Statement => {
  const row = int(panel * element.bytes);
  return memoryFill(sum(scores, product(from, row)), int(0), product(i32.sub(to, from), row));
};
