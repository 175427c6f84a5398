import fc from 'fast-check';
import { broadcastableShapes, shapes, tensors, type ValueOptions } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

type Tensor = t.Tensor;

const small = { minSize: 0, maxRank: 3, maxElements: 12 };

const unary = (name: string, f: (x: Tensor) => Tensor, values: ValueOptions = {}): GradientCase =>
  gradientCase(name, tensors({ shape: shapes(small), ...values }), (x) => ({ inputs: [x], f }));

const binary = (
  name: string,
  f: (a: Tensor, b: Tensor) => Tensor,
  left: ValueOptions = {},
  right: ValueOptions = left,
): GradientCase =>
  gradientCase(
    name,
    broadcastableShapes(2, small).chain(([a = [], b = []]) =>
      fc.record({ a: tensors({ shape: a, ...left }), b: tensors({ shape: b, ...right }) }),
    ),
    ({ a, b }) => ({ inputs: [a, b], f }),
  );

const positive = { range: [0.25, 3] } as const;
const wholes = [-2, -1, 0, 1, 2];
const halves = [-1.5, -0.5, 0.5, 1.5];
const nonzero = { avoid: [0], margin: 0.2 };

export const elementwiseCases: readonly GradientCase[] = [
  unary('neg', t.neg),
  unary('exp', t.exp),
  unary('expm1', t.expm1),
  unary('log', t.log, positive),
  unary('log1p', t.log1p, { range: [-0.75, 2] }),
  unary('sqrt', t.sqrt, positive),
  unary('rsqrt', t.rsqrt, positive),
  unary('reciprocal', t.reciprocal, nonzero),
  unary('square', t.square),
  unary('sin', t.sin),
  unary('cos', t.cos),
  unary('tan', t.tan, { range: [-1.25, 1.25] }),
  unary('tanh', t.tanh),
  unary('sigmoid', t.sigmoid),
  unary('sigmoid: far out', t.sigmoid, { range: [-40, 40] }),
  unary('softplus', t.softplus),
  unary('softplus: far out', t.softplus, { range: [-40, 40] }),
  unary('erf', t.erf, { range: [-3, 3] }),
  unary('abs', t.abs, { avoid: [0] }),
  unary('sign', t.sign, { avoid: [0] }),
  unary('floor', t.floor, { avoid: wholes }),
  unary('ceil', t.ceil, { avoid: wholes }),
  unary('trunc', t.trunc, { avoid: wholes }),
  unary('round', t.round, { avoid: halves }),
  unary('clamp', (x) => t.clamp(x, -1, 0.5), { avoid: [-1, 0.5] }),
  unary('clamp: below only', (x) => t.clamp(x, { min: 0 }), { avoid: [0] }),
  unary('clamp: above only', (x) => t.clamp(x, { max: 1 }), { avoid: [1] }),
  // The result is rounded to f32, whatever precision the input has.
  gradientCase(
    'cast: to f32 and back',
    tensors({ shape: shapes(small) }),
    (x) => ({ inputs: [x], f: (y) => t.cast(t.cast(y, 'f32'), 'f64') }),
    { precision: 2 ** -23 },
  ),

  unary('relu', t.relu, { avoid: [0] }),
  unary('silu', t.silu, { range: [-5, 5] }),
  unary('gelu', t.gelu, { range: [-4, 4] }),
  unary('geluTanh', t.geluTanh, { range: [-4, 4] }),
  unary('quickGelu', t.quickGelu, { range: [-4, 4] }),
  unary('logSigmoid', t.logSigmoid, { range: [-30, 30] }),

  binary('add', t.add),
  binary('add: twice the same', (a, b) => t.add(t.add(a, b), a)),
  binary('sub', t.sub),
  binary('mul', t.mul),
  binary('div', t.div, {}, nonzero),
  binary('pow', t.pow, positive, {}),
  // No ties: a holds quarters, b holds quarters plus an eighth.
  binary('maximum', (a, b) => t.maximum(a, t.add(b, 1 / 8)), { steps: 4 }),
  binary('minimum', (a, b) => t.minimum(a, t.add(b, 1 / 8)), { steps: 4 }),
  // The dividend is twice the divisor plus a rest that is never near 0 or the divisor.
  binary(
    'remainder',
    (rest, b) => t.remainder(t.add(t.mul(b, 2), rest), b),
    { range: [0.25, 0.75] },
    { range: [1, 3] },
  ),
  gradientCase(
    'pow: whole exponents of any base',
    fc.record({ x: tensors({ shape: shapes(small) }), exponent: fc.nat({ max: 4 }) }),
    ({ x, exponent }) => ({ inputs: [x], f: (y) => t.pow(y, exponent) }),
  ),
  gradientCase(
    'where',
    broadcastableShapes(3, small).chain(([c = [], a = [], b = []]) =>
      fc.record({ c: tensors({ shape: c, dtype: 'bool' }), a: tensors({ shape: a }), b: tensors({ shape: b }) }),
    ),
    ({ c, a, b }) => ({ inputs: [c, a, b], f: (c, a, b) => t.where(c as Tensor, t.sin(a as Tensor), b as Tensor) }),
  ),
  gradientCase(
    'where: numbers for branches',
    fc.record({ x: tensors({ shape: [2, 3] }), c: tensors({ shape: [2, 3], dtype: 'bool' }) }),
    ({ x, c }) => ({ inputs: [x], f: (x) => [t.where(c, t.exp(x), 1), t.where(c, 2, t.square(x))] }),
  ),
];
