import { i32, type V128, v128 } from '../../assembler/instructions.ts';
import { double, type Format, polynomial, roundingConstant, signOf, single } from './format.ts';
import { evaluate, type Steps, type VectorFunction } from './steps.ts';

interface Table {
  /** Below `low`, e^x rounds to 0; above `high`, to ∞. */
  readonly range: readonly [low: number, high: number];
  /** Below it, e^x − 1 rounds to −1. */
  readonly minusOne: number;
  /** (e^r − 1 − r) / r² */
  readonly tail: readonly number[];
}

/**
 * The tails are minimax polynomials for |r| ≤ ln 2 / 2. With rounded coefficients, their errors relative to e^r − 1 are
 * 2^-25.9 (f32) and 2^-60.6 (f64).
 */
const tables: ReadonlyMap<Format, Table> = new Map([
  [
    single,
    {
      range: [-104, 89],
      minusOne: -18,
      tail: [0.5, 0.166665435, 0.0416662805, 0.00836658385, 0.00139464519],
    },
  ],
  [
    double,
    {
      range: [-746, 710],
      minusOne: -40,
      tail: [
        0.5, 0.16666666666666677, 0.041666666666666699, 0.0083333333333216152, 0.0013888888888866843,
        0.00019841269886158999, 2.4801587360548794e-5, 2.755724418149063e-6, 2.7557242764676931e-7,
        2.5109045031591157e-8, 2.0924442099613481e-9,
      ],
    },
  ],
]);

const tableOf = (format: Format): Table => tables.get(format) as Table;

/** e^x = 2^n·(1 + grown) with |x − n·ln 2| ≤ ln 2 / 2. The lowest bits of `shifted` are n + offset. */
function reduce(format: Format, steps: Steps, x: V128, offset: number) {
  const { float } = format;
  const [high, low] = format.ln2;
  const rounding = float.const(roundingConstant(format, offset));
  const shifted = steps.bind(float.add(float.mul(x, float.const(Math.LOG2E)), rounding));
  const n = steps.bind(float.sub(shifted, rounding));
  const first = steps.bind(float.sub(x, float.mul(n, float.const(high))));
  const second = steps.bind(float.mul(n, float.const(low)));
  const r = steps.bind(float.sub(first, second));
  const curve = float.mul(float.mul(r, r), polynomial(format, steps, r, tableOf(format).tail));
  // The rounding error of r = first − second matters in the sum, but not inside the curve.
  const grown = float.add(first, float.sub(curve, second));
  return { shifted, grown };
}

/** Moves the lowest bits to the exponent of a float; higher bits are shifted out. */
const asExponent = ({ integer, fractionBits }: Format, biased: V128): V128 =>
  integer.shl(biased, i32.const(fractionBits));

/** e^x for a bound x whose result is normal, or NaN. */
export function expNormal(format: Format, steps: Steps, x: V128): V128 {
  const { float, bias } = format;
  const { shifted, grown } = reduce(format, steps, x, bias);
  return float.mul(float.add(grown, float.const(1)), asExponent(format, shifted));
}

/**
 * e^x for every x. The power of two is applied as two factors, each a normal number, so that denormal results are rounded
 * once and the largest finite ones do not overflow early.
 */
export const exp =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const { float, integer, bias } = format;
      const [low, high] = tableOf(format).range;
      const inside = steps.bind(float.pmax(float.pmin(x, float.const(high)), float.const(low)));
      const { shifted, grown } = reduce(format, steps, inside, 2 * bias);
      const half = steps.bind(integer.shrU(shifted, i32.const(1)));
      const rest = integer.sub(shifted, half);
      const near = float.add(grown, float.const(1));
      return float.mul(float.mul(near, asExponent(format, half)), asExponent(format, rest));
    });

/**
 * e^x − 1 = 2·(s·(e^r − 1) + (s − ½)) with s = 2^(n − 1): exact for n = 0, and without overflow at the upper end. The
 * result has the sign of x, −0 included.
 */
export const expm1 =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const { float, bias } = format;
      const { minusOne, range } = tableOf(format);
      const input = steps.bind(x);
      const inside = steps.bind(float.pmax(float.pmin(input, float.const(range[1])), float.const(minusOne)));
      const { shifted, grown } = reduce(format, steps, inside, bias - 1);
      const scale = steps.bind(asExponent(format, shifted));
      const sum = steps.bind(float.add(float.mul(scale, grown), float.sub(scale, float.const(0.5))));
      return v128.or(float.add(sum, sum), signOf(format, input));
    });
