import { v128 } from '../../assembler/instructions.ts';
import { exp } from './exp.ts';
import type { Format } from './format.ts';
import { log1pInside } from './log.ts';
import { evaluate, type VectorFunction } from './steps.ts';

/**
 * 1 / (1 + e^−x), from e = e^−|x|, which cannot overflow, and t = e/(1 + e): 1 − t above 0, and t below. Where e is small,
 * t is computed as e − e·t, which the rounding of 1 + e hardly affects.
 */
export const sigmoid =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const { float } = format;
      const input = steps.bind(x);
      const e = steps.bind(exp(format)(scope, float.neg(float.abs(input))));
      const t = steps.bind(float.div(e, float.add(e, float.const(1))));
      const isNegative = steps.bind(float.lt(input, float.const(0)));
      const start = steps.bind(v128.bitselect(e, float.const(1), isNegative));
      const difference = float.sub(start, float.mul(start, t));
      const isNear = v128.and(isNegative, float.gt(input, float.const(-1.0625)));
      return v128.bitselect(t, difference, isNear);
    });

/** log(1 + e^x) = max(x, 0) + log(1 + e^−|x|) */
export const softplus =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const { float } = format;
      const input = steps.bind(x);
      const e = steps.bind(exp(format)(scope, float.neg(float.abs(input))));
      return float.add(log1pInside(format, steps, e), float.pmax(input, float.const(0)));
    });
