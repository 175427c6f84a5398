import { i32, i32x4, type V128, v128 } from '../../assembler/instructions.ts';
import { type Format, polynomial, signOf, single } from './format.ts';
import { evaluate, type Steps, type VectorFunction } from './steps.ts';

/** (log(1 + f) − f + f²/2) / f³ for 1 + f in [√½, √2]; minimax, leaves a relative error of 2^-27.2 of log(1 + f). */
const cubic = [
  0.333333313, -0.250008196, 0.200012267, -0.166233569, 0.142017588, -0.131601825, 0.12761575, -0.0763449445,
];

/** (log((1 + s)/(1 − s)) − 2s) / s³ in s², for |s| ≤ 0.1716; minimax, leaves a relative error of 2^-59.2. */
const inverse = [
  0.6666666666666734, 0.39999999999415659, 0.2857142874218962, 0.22222198591424666, 0.18183563484322748,
  0.15314069447335288, 0.14795786222571278,
];

/** x = 2^k · m with m in [√½, √2]. x is a normal number above 0. */
export function splitExponent(format: Format, steps: Steps, x: V128) {
  const { float, integer, bits, fractionBits, bias } = format;
  const shift = i32.const(fractionBits);
  const [one, lowest] = format === single ? [0x3f800000n, 0x3f3504f3n] : [0x3ff0000000000000n, 0x3fe6a09e667f3bcdn];
  // Relative to √½ instead of 1, the bits of the exponent are k + bias, and those of the fraction are m − √½.
  const counted = steps.bind(integer.add(x, bits(one - lowest)));
  const biased = steps.bind(integer.shrU(counted, shift));
  const mask = (1n << BigInt(fractionBits)) - 1n;
  const mantissa = integer.add(v128.and(counted, bits(mask)), bits(lowest));
  // Integer bits in the fraction of 2^fractionBits make the float 2^fractionBits plus that integer.
  const k = float.sub(v128.or(biased, float.const(2 ** fractionBits)), float.const(2 ** fractionBits + bias));
  return { biased, mantissa, k };
}

/** k·ln 2 + log(1 + f) for bound f and k, added up from the smallest part to the largest. */
function logSum(format: Format, steps: Steps, k: V128, f: V128): V128 {
  const { float } = format;
  const [high, low] = format.ln2;
  const bigPart = float.mul(k, float.const(high));
  const smallPart = float.mul(k, float.const(low));
  const square = steps.bind(float.mul(f, f));
  const half = steps.bind(float.mul(square, float.const(0.5)));
  if (format === single) {
    const curve = float.mul(float.mul(square, f), polynomial(format, steps, f, cubic));
    return float.add(float.add(float.sub(float.add(curve, smallPart), half), f), bigPart);
  }
  // With s = f/(2 + f): log(1 + f) = 2s + s·R(s²) and 2s = f − f²/2 + s·f²/2.
  const s = steps.bind(float.div(f, float.add(f, float.const(2))));
  const z = steps.bind(float.mul(s, s));
  const remainder = float.mul(z, polynomial(format, steps, z, inverse));
  const curve = float.add(float.mul(s, float.add(half, remainder)), smallPart);
  return float.sub(bigPart, float.sub(float.sub(half, curve), f));
}

/** Replaces results outside the domain: −∞ at the pole, NaN below it, and x for ∞ and NaN. */
function atEnds({ float, maxFinite }: Format, x: V128, pole: number, result: V128): V128 {
  const pastPole = v128.bitselect(float.const(Number.NaN), result, float.lt(x, float.const(pole)));
  const inside = v128.bitselect(float.const(Number.NEGATIVE_INFINITY), pastPole, float.eq(x, float.const(pole)));
  return v128.bitselect(inside, x, float.le(x, float.const(maxFinite)));
}

/** log x. Lanes that are not positive normal numbers are scaled before and corrected after. */
export const log =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const { float, minNormal, maxFinite, fractionBits } = format;
      const input = steps.bind(x);
      const normal = v128.and(float.ge(input, float.const(minNormal)), float.le(input, float.const(maxFinite)));
      const anyRare = steps.test(i32.eqz(i32x4.allTrue(normal)));
      const scaled = steps.variable(input);
      const lifted = steps.variable(float.const(0));
      steps.when(anyRare, (rare) => {
        const denormal = rare.bind(float.lt(input, float.const(minNormal)));
        const larger = float.mul(input, float.const(2 ** fractionBits));
        rare.assign(scaled, v128.bitselect(larger, input, denormal));
        rare.assign(lifted, v128.and(denormal, float.const(fractionBits)));
      });
      const { mantissa, k } = splitExponent(format, steps, steps.get(scaled));
      const f = steps.bind(float.sub(mantissa, float.const(1)));
      const exponent = steps.bind(float.sub(k, steps.get(lifted)));
      const result = steps.variable(logSum(format, steps, exponent, f));
      steps.when(anyRare, (rare) => {
        rare.assign(result, atEnds(format, input, 0, rare.get(result)));
      });
      return steps.get(result);
    });

/**
 * log(1 + x) for a bound x > −1. With 2^k taken from the rounded sum 1 + x, f = 2^-k·x − (1 − 2^-k) is almost free of
 * error, where 1 + f = 2^-k·(1 + x).
 */
export function log1pInside(format: Format, steps: Steps, x: V128): V128 {
  const { float, integer, bits, bias, fractionBits } = format;
  const sum = steps.bind(float.add(x, float.const(1)));
  const { biased, k } = splitExponent(format, steps, sum);
  const exponent = steps.bind(integer.shl(integer.sub(biased, bits(BigInt(bias))), i32.const(fractionBits)));
  // For the largest k, the subtraction of exponents gives 0 or −∞ instead of 2^-k, which becomes 0.
  const power = float.pmax(integer.sub(float.const(1), exponent), float.const(0));
  const f = steps.bind(float.sub(integer.sub(x, exponent), float.sub(float.const(1), power)));
  return logSum(format, steps, steps.bind(k), f);
}

/** log(1 + x), with the sign of x, −0 included. */
export const log1p =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const { float, maxFinite } = format;
      const input = steps.bind(x);
      const inside = v128.and(float.gt(input, float.const(-1)), float.le(input, float.const(maxFinite)));
      const result = steps.variable(v128.or(log1pInside(format, steps, input), signOf(format, input)));
      steps.when(i32.eqz(i32x4.allTrue(inside)), (rare) => {
        rare.assign(result, atEnds(format, input, -1, rare.get(result)));
      });
      return steps.get(result);
    });
