import * as t from '../../../tensor/index.ts';
import type { Adapters } from './adapter.ts';
import { unary } from './elementwise.ts';

/** Sizes of the parts when an axis is cut into pieces of `size`; the last one takes what is left. */
function pieces(total: number, size: number): number[] {
  if (size < 1) throw new Error(`an axis cannot be cut into pieces of ${size}`);
  return Array.from({ length: Math.max(1, Math.ceil(total / size)) }, (_, i) => Math.min(size, total - i * size));
}

const sizeOfAxis = (x: t.Tensor, axis: number): number => {
  const size = x.shape.at(axis);
  if (size === undefined) throw new Error(`there is no axis ${axis} in [${x.shape.join(', ')}]`);
  return size;
};

/** A shape for `expand`, in which −1 keeps the size of the axis. */
const expanded = (x: t.Tensor, shape: readonly number[]): number[] =>
  shape.map((size, i) => (size === -1 ? sizeOfAxis(x, i - shape.length) : size));

/**
 * PyTorch's list of amounts (before and after, last axis first) as one pair for each axis.
 * @example padPairs(3, [1, 2]) // [[0, 0], [0, 0], [1, 2]]
 */
export function padPairs(rank: number, amounts: readonly number[]): [number, number][] {
  if (amounts.length % 2 !== 0 || amounts.length > 2 * rank) {
    throw new Error(`the parameter 'pad' is [${amounts.join(', ')}]; it should be pairs for at most ${rank} axes`);
  }
  return Array.from({ length: rank }, (_, axis) => {
    const at = 2 * (rank - 1 - axis);
    return [amounts[at] ?? 0, amounts[at + 1] ?? 0];
  });
}

export const movement: Adapters = {
  reshape: unary((x, params) => t.reshape(x, params.integers('shape'))),
  permute: unary((x, params) => t.permute(x, params.integers('axes'))),
  'permute+reshape': unary((x, params) => t.reshape(t.permute(x, params.integers('axes')), params.integers('shape'))),
  transpose: unary((x, params) => {
    const [first, second, ...others] = params.integers('axes');
    if (first === undefined || second === undefined || others.length > 0) throw new Error('transpose takes two axes');
    return t.transpose(x, first, second);
  }),
  expand: unary((x, params) => t.broadcastTo(x, expanded(x, params.integers('shape')))),
  repeat: unary((x, params) => t.repeat(x, params.integers('repeats'))),
  repeat_interleave: unary((x, params) => {
    const axes = params.axes();
    const count = params.integer('repeats');
    if (axes === undefined) return t.repeatInterleave(t.flatten(x), count, 0);
    return t.repeatInterleave(x, count, params.axis());
  }),
  flip: unary((x, params) => t.flip(x, params.axes())),
  squeeze: unary((x, params) => t.squeeze(x, params.axes())),
  unsqueeze: unary((x, params) => t.unsqueeze(x, params.axis())),
  slice: unary((x, params) =>
    t.slice(x, params.integers('start'), params.integers('end'), params.integers('step', [])),
  ),
  pad: unary((x, params) => {
    params.states('pad_order', 'last axis first: left,right,top,bottom,...', 'left,right,top,bottom');
    params.states('mode', 'constant');
    return t.pad(x, padPairs(x.rank, params.integers('pad')), params.number('value', 0));
  }),
  concat: (inputs, params) => t.concat(inputs.all(), params.axis(0)),
  stack: (inputs, params) => t.stack(inputs.all(), params.axis(0)),
  chunk: (inputs, params) => {
    const x = inputs.get('x');
    const axis = params.axis(0);
    const total = sizeOfAxis(x, axis);
    return t.split(x, pieces(total, Math.max(1, Math.ceil(total / params.integer('chunks')))), axis);
  },
  split: (inputs, params) => {
    const x = inputs.get('x');
    const axis = params.axis(0);
    const sizes = params.either('sizes', 'split_size');
    // A number is the size of the pieces here, and the number of parts in this library.
    const list = params.isNumber(sizes) ? pieces(sizeOfAxis(x, axis), params.integer(sizes)) : params.integers(sizes);
    return t.split(x, list, axis);
  },
  embedding: (inputs, params) => {
    const weight = inputs.get('weight');
    params.states('vocab', weight.shape[0]);
    params.states('dim', weight.shape[1]);
    return t.take(weight, inputs.get('ids'));
  },
  index_select: (inputs, params) => t.take(inputs.get('x'), inputs.get('index'), params.axis()),
  gather: (inputs, params) => t.gather(inputs.get('x'), inputs.get('index'), params.axis()),
};
