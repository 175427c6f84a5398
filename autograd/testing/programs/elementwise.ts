import type { Tensor } from '../../../tensor/index.ts';
import { anything, bool, float, number, one, type ProgramOperator, two } from './operator.ts';
import { call, type Term, tamed } from './terms.ts';

const smooth = (make: (x: Term) => Term): ProgramOperator => one(true, float, make);
const kinked = (make: (x: Term) => Term, accept = number): ProgramOperator => one(false, accept, make);

/** True if the two shapes broadcast by NumPy's rules. */
function broadcasts(a: Tensor, b: Tensor): boolean {
  const [short, long] = a.rank < b.rank ? [a.shape, b.shape] : [b.shape, a.shape];
  return short.every((size, i) => {
    const other = long[long.length - short.length + i];
    return size === other || size === 1 || other === 1;
  });
}

const arithmetic = (isSmooth: boolean, make: (a: Term, b: Term) => Term, accept = number): ProgramOperator =>
  two(isSmooth, accept, broadcasts, make);
const comparison = (
  name: 'equal' | 'notEqual' | 'less' | 'lessEqual' | 'greater' | 'greaterEqual',
  accept: (x: Tensor) => boolean,
): ProgramOperator => two(false, accept, broadcasts, (a, b) => call(name, a, b), 'bool');

/** 1 + x², from 1 to 5 on [−2, 2]. */
const positive = (x: Term): Term => call('add', call('square', x), 1);

/** A bool tensor of the given shape that alternates along an axis. */
function checkerboard(shape: readonly number[], axis: number, period: number): Term {
  if (shape.length === 0) return call('less', call('full', [], axis), 1);
  return call('less', call('remainder', call('iota', shape, axis, 'i32'), period + 2), period + 1);
}

export const elementwiseOperators = {
  neg: one(true, number, (x) => call('neg', x)),
  sin: smooth((x) => call('sin', x)),
  cos: smooth((x) => call('cos', x)),
  tanh: smooth((x) => call('tanh', x)),
  sigmoid: smooth((x) => call('sigmoid', x)),
  erf: smooth((x) => call('erf', x)),
  exp: smooth((x) => tamed(call('exp', x), 8)),
  expm1: smooth((x) => tamed(call('expm1', x), 8)),
  log: smooth((x) => call('log', positive(x))),
  log1p: smooth((x) => call('log1p', call('square', x))),
  sqrt: smooth((x) => tamed(call('sqrt', positive(x)), 2)),
  rsqrt: smooth((x) => call('rsqrt', positive(x))),
  reciprocal: smooth((x) => call('reciprocal', positive(x))),
  square: one(true, number, (x) => tamed(call('square', x), 4)),
  tan: smooth((x) => tamed(call('tan', call('mul', x, 0.5)), 2)),
  softplus: smooth((x) => tamed(call('softplus', x), 2)),
  logSigmoid: smooth((x) => tamed(call('logSigmoid', x), 2)),
  silu: smooth((x) => call('silu', x)),
  gelu: smooth((x) => call('gelu', x)),
  geluTanh: smooth((x) => call('geluTanh', x)),
  quickGelu: smooth((x) => call('quickGelu', x)),
  relu: kinked((x) => call('relu', x), float),
  abs: kinked((x) => call('abs', x)),
  sign: kinked((x) => call('sign', x)),
  floor: kinked((x) => call('floor', x)),
  ceil: kinked((x) => call('ceil', x)),
  round: kinked((x) => call('round', x)),
  trunc: kinked((x) => call('trunc', x)),
  clamp: kinked((x) => call('clamp', x, { min: 0, max: 1 })),
  isFinite: one(false, float, (x) => call('isFinite', x), 'bool'),
  isNaN: one(false, float, (x) => call('isNaN', x), 'bool'),
  logicalNot: kinked((x) => call('logicalNot', x), bool),
  cast: one(false, anything, (x, { pick, dtypes }) => {
    const dtype = dtypes[pick(dtypes.length)];
    return dtype === undefined ? undefined : call('cast', x, dtype);
  }),

  add: arithmetic(true, (a, b) => tamed(call('add', a, b), 2)),
  sub: arithmetic(true, (a, b) => tamed(call('sub', a, b), 2)),
  mul: arithmetic(true, (a, b) => tamed(call('mul', a, b), 2)),
  div: arithmetic(true, (a, b) => call('div', a, positive(b))),
  pow: arithmetic(true, (a, b) => tamed(call('pow', positive(a), call('sin', b)), 8), float),
  maximum: arithmetic(false, (a, b) => call('maximum', a, b)),
  minimum: arithmetic(false, (a, b) => call('minimum', a, b)),
  remainder: arithmetic(false, (a, b) => tamed(call('remainder', a, positive(b)), 4)),
  equal: comparison('equal', anything),
  notEqual: comparison('notEqual', anything),
  less: comparison('less', number),
  lessEqual: comparison('lessEqual', number),
  greater: comparison('greater', number),
  greaterEqual: comparison('greaterEqual', number),
  logicalAnd: arithmetic(false, (a, b) => call('logicalAnd', a, b), bool),
  logicalOr: arithmetic(false, (a, b) => call('logicalOr', a, b), bool),
  where: two(true, anything, broadcasts, (a, b, { operand, pick }) => {
    const condition =
      operand((x) => bool(x) && broadcasts(x, a.tensor) && broadcasts(x, b.tensor)) ??
      checkerboard(a.tensor.shape, pick(a.tensor.rank), pick(2));
    return call('where', condition, a, b);
  }),
} satisfies Readonly<Record<string, ProgramOperator>>;
