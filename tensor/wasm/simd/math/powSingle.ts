import { f64x2, i32, i64x2, type V128 } from '../../assembler/instructions.ts';
import { double, polynomial, roundingConstant } from './format.ts';
import { narrow, widen } from './halves.ts';
import { splitExponent } from './log.ts';
import type { PositivePower } from './pow.ts';
import type { Steps } from './steps.ts';

/** log₂((1 + s)/(1 − s)) / s in s², for |s| ≤ 0.1716; minimax, leaves a relative error of 2^-45.1. */
const logarithm = [
  2.8853900817778499, 0.96179669411349566, 0.57707794231666598, 0.41220925760143418, 0.31990546883847815,
  0.28290360595549507,
];

/** (2^r − 1) / r for |r| ≤ ½; minimax, leaves an error of 2^-32.0 of 2^r. */
const exponential = [
  0.69314718381688334, 0.2402265092078964, 0.055504003753277714, 0.009618056918717215, 0.0013341950972465704,
  0.00015461367806889932, 1.3359841382347392e-5,
];

/** a^b = 2^(b·log₂ a) of f64 lanes, with the precision of f32. */
function wide(steps: Steps, a: V128, b: V128): V128 {
  const constant = f64x2.const;
  const { mantissa, k } = splitExponent(double, steps, a);
  const m = steps.bind(mantissa);
  const s = steps.bind(f64x2.div(f64x2.sub(m, constant(1)), f64x2.add(m, constant(1))));
  const z = steps.bind(f64x2.mul(s, s));
  const exponent = f64x2.mul(b, f64x2.add(f64x2.mul(s, polynomial(double, steps, z, logarithm)), k));
  // Beyond these bounds, the f32 is ∞ or 0.
  const y = steps.bind(f64x2.pmax(f64x2.pmin(exponent, constant(130)), constant(-152)));
  const rounding = constant(roundingConstant(double, double.bias));
  const shifted = steps.bind(f64x2.add(y, rounding));
  const r = steps.bind(f64x2.sub(y, f64x2.sub(shifted, rounding)));
  const near = f64x2.add(f64x2.mul(r, polynomial(double, steps, r, exponential)), constant(1));
  return f64x2.mul(near, i64x2.shl(shifted, i32.const(double.fractionBits)));
}

/** a^b of f32 lanes, computed as two vectors of f64. */
export const positivePowerSingle: PositivePower = (steps, a, b) => {
  const [bases, exponents] = [widen(steps, a), widen(steps, b)];
  return narrow(wide(steps, bases[0], exponents[0]), wide(steps, bases[1], exponents[1]));
};
