import { erf } from './erf.ts';
import { exp, expm1 } from './exp.ts';
import { double, type Format, single } from './format.ts';
import { tanhDouble, tanhSingle } from './hyperbolic.ts';
import { log, log1p } from './log.ts';
import { sigmoid, softplus } from './logistic.ts';
import { pow } from './pow.ts';
import { positivePowerDouble } from './powDouble.ts';
import { positivePowerSingle } from './powSingle.ts';
import { remainder } from './remainder.ts';
import type { VectorFunction, VectorFunction2 } from './steps.ts';
import { cos, sin } from './trigonometry.ts';

export type { VectorFunction, VectorFunction2 } from './steps.ts';

export type VectorFunctionName =
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'tanh'
  | 'sigmoid'
  | 'softplus'
  | 'erf'
  | 'sin'
  | 'cos';

const both = (format: Format) => ({
  exp: exp(format),
  expm1: expm1(format),
  log: log(format),
  log1p: log1p(format),
  sigmoid: sigmoid(format),
  softplus: softplus(format),
  erf: erf(format),
  sin: sin(format),
  cos: cos(format),
});

/**
 * Elementary functions of f32x4 and f64x2 lanes, without relaxed SIMD, so results are the same on every machine. Special
 * values are those of Math, −0 included. Errors are below 2 units in the last place: of f32 for every input, of f64 for
 * every tested one; of sin and cos for |x| ≤ 10⁹. Beyond, sin and cos only stay in [−1, 1].
 */
export const vectorMath: {
  readonly f32: Readonly<Record<VectorFunctionName, VectorFunction>>;
  readonly f64: Readonly<Record<VectorFunctionName, VectorFunction>>;
} = {
  f32: { ...both(single), tanh: tanhSingle },
  f64: { ...both(double), tanh: tanhDouble },
};

/**
 * a^b; errors as above. 1^b is 1 for every b, as in IEEE 754 but not in Math; other special values are those of Math.
 */
export const vectorPow: { readonly f32: VectorFunction2; readonly f64: VectorFunction2 } = {
  f32: pow(single, positivePowerSingle),
  f64: pow(double, positivePowerDouble),
};

/** a − ⌊a/b⌋·b without error, then rounded once. */
export const vectorRemainder: { readonly f32: VectorFunction2; readonly f64: VectorFunction2 } = {
  f32: remainder(single),
  f64: remainder(double),
};
