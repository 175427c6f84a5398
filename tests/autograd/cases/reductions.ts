import fc from 'fast-check';
import { axes, shapes, tensors, type ValueOptions } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

type Tensor = t.Tensor;
type Reduce = (x: Tensor, axes: t.Axes, options: { readonly keepDims: boolean }) => Tensor;

const small = { maxRank: 3, maxElements: 24 };

/** Reductions over no, some or all axes, counted from either end, kept or dropped. */
const reduction = (name: string, f: Reduce, values: ValueOptions = {}, minSize = 1): GradientCase =>
  gradientCase(
    name,
    shapes({ ...small, minSize }).chain((shape) =>
      fc.record({
        x: tensors({ shape, ...values }),
        over: fc.option(fc.subarray(shape.map((_, axis) => axis)), { nil: undefined }),
        fromEnd: fc.boolean(),
        keepDims: fc.boolean(),
      }),
    ),
    ({ x, over, fromEnd, keepDims }) => {
      const list = fromEnd ? over?.map((axis) => axis - x.rank) : over;
      return { inputs: [x], f: (x) => f(x, list?.length === 1 ? list[0] : list, { keepDims }) };
    },
  );

/** Operators along one axis. */
const along = (
  name: string,
  f: (x: Tensor, axis: number, extra: number) => unknown,
  values: ValueOptions = {},
  minSize = 1,
): GradientCase =>
  gradientCase(
    name,
    shapes({ ...small, minRank: 1, minSize }).chain((shape) =>
      fc.record({ x: tensors({ shape, ...values }), axis: axes(shape.length), extra: fc.nat({ max: 60 }) }),
    ),
    ({ x, axis, extra }) => ({ inputs: [x], f: (x) => f(x, axis, extra) }),
  );

const distinct = { distinct: true };
/** The number of elements per reduction. */
const count = (x: Tensor, over: t.Axes): number =>
  over === undefined ? x.size : [over].flat().reduce((product, axis) => product * (x.shape.at(axis) as number), 1);

export const reductionCases: readonly GradientCase[] = [
  reduction('sum', (x, over, options) => t.sum(t.sin(x), over, options), {}, 0),
  reduction('mean', (x, over, options) => t.mean(t.sin(x), over, options)),
  reduction('variance', t.variance),
  reduction('variance: unbiased', (x, over, options) =>
    t.variance(x, over, { ...options, correction: count(x, over) > 1 ? 1 : 0 }),
  ),
  reduction('logSumExp', t.logSumExp),
  reduction('logSumExp: of large numbers', (x, over, options) => t.logSumExp(t.add(x, 1000), over, options)),
  reduction('max', t.max, distinct),
  reduction('min', t.min, distinct),
  along('cumsum', (x, axis) => t.cumsum(t.sin(x), axis), {}, 0),
  along('sort', (x, axis, extra) => t.sort(t.sin(x), axis, { descending: extra % 2 === 1 }), {
    ...distinct,
    range: [-1.5, 1.5],
  }),
  along('topK', (x, axis, extra) => t.topK(x, extra % ((x.shape.at(axis) as number) + 1), axis), distinct, 0),
  along('softmax', (x, axis) => t.softmax(x, axis), {}, 0),
  along('softmax: of large numbers', (x, axis, extra) => t.softmax(t.add(x, extra % 2 === 0 ? 1000 : -1000), axis)),
  along('logSoftmax', (x, axis) => t.logSoftmax(x, axis), {}, 0),
];
