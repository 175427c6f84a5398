import { i32, i32x4, type V128, v128 } from '../../assembler/instructions.ts';
import { type Format, signOf } from './format.ts';
import { evaluate, type Steps, type VectorFunction2 } from './steps.ts';

/** a^b of bound vectors, for finite a > 0 (denormal ones too) and finite b. */
export type PositivePower = (steps: Steps, a: V128, b: V128) => V128;

/** a^b. Lanes with a base that is not positive, or with infinity or NaN, are corrected afterwards. */
export const pow =
  (format: Format, positivePower: PositivePower): VectorFunction2 =>
  (scope, a, b) =>
    evaluate(scope, (steps) => {
      const { float, maxFinite } = format;
      const [base, exponent] = [steps.bind(a), steps.bind(b)];
      const magnitude = steps.bind(float.abs(base));
      const result = steps.variable(positivePower(steps, magnitude, exponent));
      const isPlain = v128.and(
        v128.and(float.gt(base, float.const(0)), float.le(base, float.const(maxFinite))),
        float.le(float.abs(exponent), float.const(maxFinite)),
      );
      steps.when(i32.eqz(i32x4.allTrue(isPlain)), (rare) => {
        rare.assign(result, special(format, rare, base, magnitude, exponent, rare.get(result)));
      });
      return steps.get(result);
    });

/** Corrects a power for special values, as IEEE 754 defines them. */
function special(format: Format, steps: Steps, base: V128, magnitude: V128, exponent: V128, power: V128): V128 {
  const { float } = format;
  const constant = float.const;
  const choose = (mask: V128, yes: V128, no: V128): V128 => v128.bitselect(yes, no, mask);
  const { or, and, xor } = v128;
  const infinity = steps.bind(constant(Number.POSITIVE_INFINITY));
  const isInteger = steps.bind(float.eq(float.floor(exponent), exponent));
  const half = steps.bind(float.mul(exponent, constant(0.5)));
  const isOdd = steps.bind(and(isInteger, float.ne(float.floor(half), half)));
  const baseIsInfinite = steps.bind(float.eq(magnitude, infinity));
  const baseIsZero = steps.bind(float.eq(magnitude, constant(0)));
  const exponentIsInfinite = steps.bind(float.eq(float.abs(exponent), infinity));
  const isPositive = float.gt(exponent, constant(0));

  // For infinite and zero operands, the power is 0 or ∞: ∞ if |base| > 1 and exponent > 0, or neither.
  const baseIsLarge = float.gt(magnitude, constant(1));
  const atEnds = and(v128.not(xor(baseIsLarge, isPositive)), infinity);
  const isAtEnds = or(or(baseIsInfinite, baseIsZero), exponentIsInfinite);
  const magnitudeOfPower = choose(isAtEnds, atEnds, power);
  const signed = steps.bind(or(magnitudeOfPower, and(isOdd, signOf(format, base))));

  // Negative finite bases have only integer powers.
  const isNegative = and(float.lt(base, constant(0)), v128.not(baseIsInfinite));
  const isUndefined = or(or(float.ne(base, base), float.ne(exponent, exponent)), and(isNegative, v128.not(isInteger)));
  const defined = choose(isUndefined, constant(Number.NaN), signed);
  // 1^b, a^0 and (−1)^±∞ are 1, even if the other operand is NaN.
  const isUnit = and(exponentIsInfinite, float.eq(magnitude, constant(1)));
  const isOne = or(or(float.eq(base, constant(1)), float.eq(exponent, constant(0))), isUnit);
  return choose(isOne, constant(1), defined);
}
