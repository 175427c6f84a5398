import { expect, test } from 'vitest';
import * as t from '../../tensor/index.ts';

const f32 = (...shape: number[]) => t.zeros(shape);
const i32 = (...shape: number[]) => t.zeros(shape, { dtype: 'i32' });
const bool = (...shape: number[]) => t.zeros(shape, { dtype: 'bool' });

type Attempt = readonly [what: string, f: () => unknown, message: string | RegExp];

/** Each must throw a `TensorError` whose message starts with the operator's name and says what was wrong. */
function refused(title: string, attempts: readonly Attempt[]): void {
  test.each(attempts)(`${title}: %s`, (_, f, message) => {
    expect(f).toThrow(message);
    expect(f).toThrow(t.TensorError);
  });
}

const binary = {
  add: t.add,
  sub: t.sub,
  mul: t.mul,
  div: t.div,
  pow: t.pow,
  maximum: t.maximum,
  minimum: t.minimum,
  remainder: t.remainder,
  equal: t.equal,
  notEqual: t.notEqual,
  less: t.less,
  lessEqual: t.lessEqual,
  greater: t.greater,
  greaterEqual: t.greaterEqual,
};

for (const [name, f] of Object.entries(binary)) {
  refused(name, [
    [
      'shapes that do not broadcast',
      () => f(f32(2, 3), f32(4)),
      `${name}: shapes [2, 3] and [4] do not broadcast: sizes 3 and 4 meet at axis -1, and neither is 1`,
    ],
    ['different dtypes', () => f(f32(2), i32(2)), `${name}: dtypes differ: f32[2] and i32[2]; cast one of them`],
    ['two numbers', () => f(1, 2), `${name}: at least one operand must be a tensor`],
    ['a number that does not fit', () => f(i32(2), 1.5), `${name}: 1.5 is not a value of i32`],
  ]);
  if (name === 'equal' || name === 'notEqual') continue;
  refused(name, [
    ['bools', () => f(bool(2), bool(2)), name === 'pow' ? /^pow: needs floats/ : `${name}: needs numbers, got bool[2]`],
  ]);
}

const floatsOnly = {
  exp: t.exp,
  expm1: t.expm1,
  log: t.log,
  log1p: t.log1p,
  sqrt: t.sqrt,
  rsqrt: t.rsqrt,
  sin: t.sin,
  cos: t.cos,
  tan: t.tan,
  tanh: t.tanh,
  sigmoid: t.sigmoid,
  softplus: t.softplus,
  erf: t.erf,
  isNaN: t.isNaN,
  isFinite: t.isFinite,
  mean: t.mean,
  variance: t.variance,
  logSumExp: t.logSumExp,
  softmax: t.softmax,
  logSoftmax: t.logSoftmax,
  layerNorm: t.layerNorm,
};
for (const [name, f] of Object.entries(floatsOnly)) {
  refused(name, [['integers', () => f(i32(2)), `${name}: needs floats, got i32[2]; cast it first`]]);
}
refused('pow', [['integers', () => t.pow(i32(2), 2), 'pow: needs floats, got i32[2]']]);

const numbersOnly = {
  neg: t.neg,
  abs: t.abs,
  sign: t.sign,
  floor: t.floor,
  ceil: t.ceil,
  trunc: t.trunc,
  round: t.round,
  sum: t.sum,
  max: t.max,
  min: t.min,
  argMax: (x: t.Tensor) => t.argMax(x, 0),
  argMin: (x: t.Tensor) => t.argMin(x, 0),
  cumsum: (x: t.Tensor) => t.cumsum(x, 0),
  argSort: t.argSort,
  sort: t.sort,
  topK: (x: t.Tensor) => t.topK(x, 1),
};
for (const [name, f] of Object.entries(numbersOnly)) {
  refused(name, [['bools', () => f(bool(2)), `${name}: needs numbers, got bool[2]`]]);
}

const boolsOnly = { logicalNot: t.logicalNot, any: t.any, all: t.all };
for (const [name, f] of Object.entries(boolsOnly)) {
  refused(name, [['numbers', () => f(f32(2)), `${name}: needs bool, got f32[2]`]]);
}

const reductions: Readonly<Record<string, (x: t.Tensor, axis: number) => unknown>> = {
  sum: t.sum,
  max: t.max,
  min: t.min,
  mean: t.mean,
  variance: t.variance,
  logSumExp: t.logSumExp,
  argMax: t.argMax,
  argMin: t.argMin,
  cumsum: t.cumsum,
  argSort: t.argSort,
  sort: t.sort,
  softmax: t.softmax,
  logSoftmax: t.logSoftmax,
};
for (const [name, f] of Object.entries(reductions)) {
  refused(name, [
    ['no such axis', () => f(f32(2, 3), 2), `${name}: there is no axis 2: axes of rank 2 are -2 to 1`],
    ['half an axis', () => f(f32(2, 3), 0.5), `${name}: there is no axis 0.5`],
    ['an axis of a scalar', () => f(f32(), 0), `${name}: there is no axis 0: a scalar has no axes`],
  ]);
}

refused('reductions', [
  ['an axis twice', () => t.sum(f32(2, 3), [0, -2]), 'sum: an axis occurs twice in [0,-2]'],
  ['nothing to choose from', () => t.max(f32(2, 0), 1), 'max: f32[2, 0] has no elements along axes [1]'],
  [
    'more than there is',
    () => t.topK(f32(2, 3), 4),
    'topK: cannot take 4 of the 3 elements along axis -1 of f32[2, 3]',
  ],
  ['half an element', () => t.topK(f32(3), 1.5), 'topK: cannot take 1.5'],
]);

refused('elementwise', [
  ['and of numbers', () => t.logicalAnd(f32(2), f32(2)), 'logicalAnd: needs bool, got f32[2]'],
  ['or of shapes', () => t.logicalOr(bool(2), bool(3)), 'logicalOr: shapes [2] and [3] do not broadcast'],
  ['where without bool', () => t.where(f32(2), 1, f32(2)), 'where: needs bool, got f32[2]'],
  ['where of two numbers', () => t.where(bool(2), 1, 0), 'where: at least one operand must be a tensor'],
  ['where of shapes', () => t.where(bool(2), f32(3), 0), 'where: shapes [2] and [3] do not broadcast'],
  ['clamp by nothing', () => t.clamp(f32(2), {}), 'clamp: give a min, a max or both for f32[2]'],
  ['clamp the wrong way round', () => t.clamp(f32(2), 3, 2), 'clamp: min 3 is above max 2'],
]);

refused('movement', [
  ['reshape', () => t.reshape(f32(2, 3), [4]), 'reshape: f32[2, 3] has 6 elements and cannot become [4]'],
  ['reshape with two unknowns', () => t.reshape(f32(2, 3), [-1, -1]), 'reshape: f32[2, 3] has 6 elements'],
  ['reshape that does not divide', () => t.reshape(f32(2, 3), [4, -1]), 'cannot become [4, -1]'],
  ['reshape of nothing', () => t.reshape(f32(0), [0, -1]), 'reshape: f32[0] has 0 elements and cannot become [0, -1]'],
  ['permute', () => t.permute(f32(2, 3), [0, 0]), 'permute: [0, 0] must name each of the 2 axes of f32[2, 3] once'],
  ['permute too few', () => t.permute(f32(2, 3), [0]), 'permute: [0] must name each of the 2 axes'],
  ['transpose', () => t.transpose(f32(2)), 'transpose: there is no axis -2: axes of rank 1 are -1 to 0'],
  ['squeeze', () => t.squeeze(f32(2, 3), 1), 'squeeze: axis 1 of f32[2, 3] has size 3, not 1'],
  ['unsqueeze', () => t.unsqueeze(f32(2), 3), 'unsqueeze: there is no axis 3'],
  ['flatten', () => t.flatten(f32(2, 3), 1, 0), 'flatten: axis 1 comes after axis 0 in f32[2, 3]'],
  ['broadcastTo', () => t.broadcastTo(f32(2), [3]), /^broadcastTo: .*\[2\].*\[3\]/],
  ['broadcastTo smaller', () => t.broadcastTo(f32(2, 3), [3]), 'broadcastTo: f32[2, 3] does not broadcast to [3]'],
  ['pad', () => t.pad(f32(2, 3), [[0, 0]]), 'pad: 1 pairs of amounts for f32[2, 3]; give one for each of its 2 axes'],
  ['pad with a fraction in integers', () => t.pad(i32(2), [[1, 0]], 0.5), 'pad: 0.5 is not a value of i32'],
  [
    'crop more than there is',
    () => t.pad(f32(3), [[-2, -2]]),
    'pad: cannot crop 2 and 2 elements from axis 0 of f32[3]',
  ],
  [
    'crop before it is padded',
    () => t.pad(f32(3), [[-4, 5]]),
    'pad: cannot crop 4 and 0 elements from axis 0 of f32[3]',
  ],
  ['concat', () => t.concat([f32(2, 3), f32(2, 4)]), 'concat: f32[2, 4] does not fit f32[2, 3]'],
  ['concat of dtypes', () => t.concat([f32(2), i32(2)]), 'concat: i32[2] does not fit f32[2]'],
  ['concat of nothing', () => t.concat([]), 'concat: there is nothing to join'],
  ['stack', () => t.stack([f32(2), f32(3)]), 'stack: f32[3] does not have the shape of f32[2]'],
  ['stack of dtypes', () => t.stack([f32(2), i32(2)]), 'stack: i32[2] does not have the dtype of f32[2]'],
  ['stack of nothing', () => t.stack([]), 'stack: there is nothing to join'],
  ['split that does not divide', () => t.split(f32(5), 2), 'split: axis 0 of f32[5] cannot be cut into 2 parts'],
  ['split into less', () => t.split(f32(5), [2, 2]), 'split: axis 0 of f32[5] cannot be cut into [2,2] parts'],
  ['split into half parts', () => t.split(f32(5), 2.5), 'split: axis 0 of f32[5] cannot be cut into 2.5 parts'],
  ['split into −1 parts', () => t.split(f32(5), -1), 'split: axis 0 of f32[5] cannot be cut into -1 parts'],
  ['repeat', () => t.repeat(f32(2, 3), [2]), 'repeat: 1 counts for f32[2, 3], which has 2 axes'],
  ['repeat a negative number of times', () => t.repeat(f32(2), [-1]), 'repeat: [-1] is not a shape'],
  ['repeatInterleave', () => t.repeatInterleave(f32(2), 1.5, 0), 'repeatInterleave: [1.5] is not a shape'],
  ['flip', () => t.flip(f32(2), 1), 'flip: there is no axis 1'],
]);

refused('indexing', [
  ['gather by floats', () => t.gather(f32(3), f32(2), 0), 'gather: indices must be i32 or u32, got f32[2]; cast them'],
  [
    'gather of another rank',
    () => t.gather(f32(3), i32(1, 2), 0),
    'gather: indices i32[1, 2] do not align with f32[3]',
  ],
  ['gather beyond', () => t.gather(f32(2, 3), i32(3, 1), 1), 'gather: indices i32[3, 1] do not align with f32[2, 3]'],
  ['take', () => t.take(f32(3), f32(2)), 'take: indices must be i32 or u32'],
  ['take from a scalar', () => t.take(f32(), i32(2)), 'take: there is no axis 0: a scalar has no axes'],
  [
    'scatterAdd',
    () => t.scatterAdd(f32(3), i32(2), f32(3), 0),
    'scatterAdd: updates f32[3] must have the shape of the indices i32[2]',
  ],
  ['scatterAdd of dtypes', () => t.scatterAdd(f32(3), i32(2), i32(2), 0), 'and the dtype of f32[3]'],
  ['oneHot', () => t.oneHot(f32(2), 3), 'oneHot: indices must be i32 or u32'],
  ['oneHot of −1 classes', () => t.oneHot(i32(2), -1), 'oneHot: [-1] is not a shape'],
  ['diagonal', () => t.diagonal(f32(2, 3)), 'diagonal: axes -2 and -1 of f32[2, 3] are not two of equal length'],
  ['diagonal of one axis', () => t.diagonal(f32(2, 2), 0, -2), 'diagonal: axes 0 and -2'],
]);
