import { f64x2, i32, i64x2, type V128, v128 } from '../../assembler/instructions.ts';
import { double, polynomial, roundingConstant } from './format.ts';
import { splitExponent } from './log.ts';
import type { PositivePower } from './pow.ts';
import type { Steps } from './steps.ts';

/**
 * (log((1 + s)/(1 − s)) − 2s − ⅔s³) / s⁵ in s², for |s| ≤ 0.1716, times 3/2; minimax, leaves an error of 2^-66.3 of the
 * logarithm.
 */
const logarithm = [
  0.4000000000000225, 0.28571428570102142, 0.22222222519491966, 0.18181784402365145, 0.15386755818168249,
  0.13256850535863798, 0.13196045746217733,
].map((coefficient) => 1.5 * coefficient);

/** (2^r − 1) / r for |r| ≤ ½; minimax, leaves an error of 2^-56.9 of 2^r. */
const exponential = [
  Math.LN2,
  0.24022650695909997,
  0.055504108664823776,
  0.0096181291076703358,
  0.0013333558145894177,
  0.00015403530315642218,
  1.5252734326485084e-5,
  1.3215549695438036e-6,
  1.0177858757076465e-7,
  7.0318312109017248e-9,
  4.4851172109384813e-10,
  5.7171975032393231e-11,
];

/** 2 / (3·ln 2), as one number and as the sum of two. */
const scale = 0.9617966939259756;
const scaleHigh = 0.96179668605327606;
const scaleLow = 7.8726995428948972e-9;

/** The first 26 bits of x; products of such numbers are exact. */
const head = (x: V128): V128 => v128.and(x, i64x2.const(0xf8000000, 0xffffffff));

const { add, sub, mul, div, const: constant } = f64x2;

/** log₂ a as the sum of two numbers, with a relative error of about 2^-66; the first has 26 bits. */
function log2(steps: Steps, a: V128): { high: V128; low: V128 } {
  const isDenormal = steps.bind(f64x2.lt(a, constant(double.minNormal)));
  const lifted = steps.bind(v128.bitselect(mul(a, constant(2 ** 54)), a, isDenormal));
  const { mantissa, k } = splitExponent(double, steps, lifted);
  const exponent = steps.bind(sub(k, v128.and(isDenormal, constant(54))));

  // s = (m − 1) / (m + 1) as sHigh + sLow, from the exact remainder of the division by m + 1 = sum + sumLow.
  const m = steps.bind(mantissa);
  const difference = steps.bind(sub(m, constant(1)));
  const sum = steps.bind(add(m, constant(1)));
  const sumHigh = steps.bind(head(sum));
  const sumLow = add(sub(sum, sumHigh), sub(m, sub(sum, constant(1))));
  const s = steps.bind(div(difference, sum));
  const sHigh = steps.bind(head(s));
  const sLow = steps.bind(div(sub(sub(difference, mul(sHigh, sumHigh)), mul(sHigh, sumLow)), sum));

  // log m = ⅔·s·(3 + s² + R) with R = 3/2·s⁴·(…); the parenthesis is tHigh + tLow.
  const squareHigh = steps.bind(mul(sHigh, sHigh));
  const squareLow = mul(sLow, add(add(sHigh, sHigh), sLow));
  const z = steps.bind(mul(s, s));
  const rest = steps.bind(add(squareLow, mul(mul(z, z), polynomial(double, steps, z, logarithm))));
  const tHigh = steps.bind(head(add(add(squareHigh, rest), constant(3))));
  const tLow = sub(rest, sub(sub(tHigh, constant(3)), squareHigh));

  const uHigh = steps.bind(mul(sHigh, tHigh));
  const uLow = steps.bind(add(mul(sLow, tHigh), mul(tLow, s)));
  const wHigh = steps.bind(head(add(uHigh, uLow)));
  const wLow = sub(uLow, sub(wHigh, uHigh));

  const vHigh = steps.bind(mul(wHigh, constant(scaleHigh)));
  const vLow = steps.bind(add(mul(wHigh, constant(scaleLow)), mul(wLow, constant(scale))));
  const high = steps.bind(head(add(add(vHigh, vLow), exponent)));
  return { high, low: sub(vLow, sub(sub(high, exponent), vHigh)) };
}

/** a^b = 2^(b·log₂ a) of f64 lanes. */
export const positivePowerDouble: PositivePower = (steps, a, b) => {
  const { high, low } = log2(steps, a);
  // Larger exponents give the same power: |log₂ a| is at least 2^-53 for a ≠ 1.
  const bound = 2 ** 70;
  const y = steps.bind(f64x2.pmax(f64x2.pmin(b, constant(bound)), constant(-bound)));
  const yHigh = steps.bind(head(y));
  const product = steps.bind(mul(yHigh, high));
  const productLow = steps.bind(add(mul(sub(y, yHigh), high), mul(y, low)));
  const total = steps.bind(add(product, productLow));
  // Beyond these bounds, the power is ∞ or 0.
  const inside = steps.bind(f64x2.pmax(f64x2.pmin(total, constant(1100)), constant(-1100)));
  const isInside = steps.bind(f64x2.eq(total, inside));

  const rounding = constant(roundingConstant(double, 2 * double.bias));
  const shifted = steps.bind(add(inside, rounding));
  const n = sub(shifted, rounding);
  const r = steps.bind(add(sub(v128.bitselect(product, inside, isInside), n), v128.and(productLow, isInside)));
  const near = add(mul(r, polynomial(double, steps, r, exponential)), constant(1));
  const half = steps.bind(i64x2.shrU(shifted, i32.const(1)));
  const asPower = (biased: V128): V128 => i64x2.shl(biased, i32.const(double.fractionBits));
  return mul(mul(near, asPower(half)), asPower(i64x2.sub(shifted, half)));
};
