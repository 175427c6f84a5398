import { v128 } from '../../assembler/instructions.ts';
import { type Format, signOf } from './format.ts';
import { evaluate, type VectorFunction2 } from './steps.ts';

/**
 * a − ⌊a/b⌋·b by long division of |a| by |b|: doubles the divisor up to the dividend, then subtracts and halves it again.
 * Doubling, halving and differences of numbers within a factor of two are exact, however large the quotient.
 */
export const remainder =
  (format: Format): VectorFunction2 =>
  (scope, a, b) =>
    evaluate(scope, (steps) => {
      const { float } = format;
      const constant = float.const;
      const [dividend, divisor] = [steps.bind(a), steps.bind(b)];
      const [x, y] = [steps.bind(float.abs(dividend)), steps.bind(float.abs(divisor))];
      // False for NaN too.
      const isDefined = steps.bind(v128.and(float.lt(x, constant(Number.POSITIVE_INFINITY)), float.gt(y, constant(0))));
      const rest = steps.variable(v128.and(x, isDefined));
      const subtrahend = steps.variable(y);
      const get = steps.get;

      // Halving a subnormal number may round up, so the divisor may end above the dividend, but below its double.
      const isLow = float.le(get(subtrahend), float.mul(get(rest), constant(0.5)));
      const isToDouble = v128.and(isLow, isDefined);
      steps.while(v128.anyTrue(isToDouble), (inner) => {
        inner.assign(subtrahend, float.add(get(subtrahend), v128.and(get(subtrahend), isToDouble)));
      });
      const isLeft = v128.and(float.ge(get(rest), y), isDefined);
      steps.while(v128.anyTrue(isLeft), (inner) => {
        const fits = inner.bind(float.ge(get(rest), get(subtrahend)));
        inner.assign(rest, float.sub(get(rest), v128.and(get(subtrahend), fits)));
        inner.assign(subtrahend, float.pmax(float.mul(get(subtrahend), constant(0.5)), y));
      });

      const isZero = steps.bind(float.eq(get(rest), constant(0)));
      const sign = steps.bind(signOf(format, divisor));
      const signed = steps.bind(v128.or(get(rest), signOf(format, dividend)));
      const unit = (x: typeof a) => v128.or(signOf(format, x), constant(1));
      const differs = float.ne(unit(dividend), unit(divisor));
      const moved = float.add(signed, v128.and(divisor, differs));
      return v128.bitselect(v128.bitselect(sign, moved, isZero), constant(Number.NaN), isDefined);
    });
