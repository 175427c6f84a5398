import { bool, filled, float, number, one, type ProgramOperator, ranked, type Supply } from './operator.ts';
import { call, type Term, tamed } from './terms.ts';

/** One axis, or all of them, with or without keeping it. */
function chosen(x: Term, { pick }: Supply) {
  const { rank, shape, size } = x.tensor;
  const axis = pick(rank + 1);
  const keepDims = pick(2) === 1;
  return axis === rank
    ? { axes: undefined, count: size, options: { keepDims } }
    : { axes: axis, count: shape[axis] as number, options: { keepDims } };
}

export const reductionOperators = {
  sum: one(true, number, (x, supply) => {
    const { axes, count, options } = chosen(x, supply);
    return tamed(call('sum', x, axes, options), count);
  }),
  mean: one(true, filled(float), (x, supply) => {
    const { axes, options } = chosen(x, supply);
    return call('mean', x, axes, options);
  }),
  variance: one(true, filled(float), (x, supply) => {
    const { axes, options } = chosen(x, supply);
    return tamed(call('variance', x, axes, options), 4);
  }),
  logSumExp: one(true, filled(float), (x, supply) => {
    const { axes, count, options } = chosen(x, supply);
    return tamed(call('logSumExp', x, axes, options), (2 + Math.log(count)) / 2);
  }),
  max: one(false, filled(number), (x, supply) => {
    const { axes, options } = chosen(x, supply);
    return call('max', x, axes, options);
  }),
  min: one(false, filled(number), (x, supply) => {
    const { axes, options } = chosen(x, supply);
    return call('min', x, axes, options);
  }),
  any: one(false, bool, (x, supply) => call('any', x, chosen(x, supply).axes)),
  all: one(false, bool, (x, supply) => call('all', x, chosen(x, supply).axes)),
  argMax: one(false, filled(ranked(number)), (x, { pick }) => call('argMax', x, pick(x.tensor.rank)), 'i32'),
  argMin: one(false, filled(ranked(number)), (x, { pick }) => call('argMin', x, pick(x.tensor.rank)), 'i32'),
  argSort: one(
    false,
    ranked(number),
    (x, { pick }) => call('argSort', x, pick(x.tensor.rank), { descending: pick(2) === 1 }),
    'i32',
  ),
  sort: one(false, ranked(number), (x, { pick }) =>
    call('sort', x, pick(x.tensor.rank), { descending: pick(2) === 1 }),
  ),
  cumsum: one(true, ranked(number), (x, { pick }) => {
    const axis = pick(x.tensor.rank);
    return tamed(call('cumsum', x, axis), x.tensor.shape[axis] as number);
  }),
  softmax: one(true, filled(ranked(float)), (x, { pick }) => call('softmax', x, pick(x.tensor.rank))),
  logSoftmax: one(true, filled(ranked(float)), (x, { pick }) => {
    const axis = pick(x.tensor.rank);
    return tamed(call('logSoftmax', x, axis), (4 + Math.log(x.tensor.shape[axis] as number)) / 2);
  }),
} satisfies Readonly<Record<string, ProgramOperator>>;
