import { f64x2, i32, type V128, v128 } from '../../assembler/instructions.ts';
import { double, type Format, polynomial, roundingConstant, signOf, single } from './format.ts';
import { lowHalves, narrow, widen } from './halves.ts';
import { evaluate, type Steps, type VectorFunction } from './steps.ts';

/** π/2 in parts of 37 bits, whose products with integers below 2^16 are exact, and a last part. */
const fine = [1.5707963267923333, 2.5633441515839558e-12, 1.0562999066987428e-23] as const;
/** π/2 in parts of 33 bits, for integers below 2^20: precise enough for x of 24 bits. */
const coarse = [1.5707963267341256, 6.0771005065061922e-11] as const;
/** π/2 in parts of 22 bits, for integers below 2^31. */
const long = [
  1.570796012878418, 3.139164164167596e-7, 6.2233719696699885e-14, 2.0222659584103533e-21, 2.9038555403888538e-28,
  4.3359050650618903e-35,
] as const;

/** The fast reductions are valid up to here, the slow one up to 3·10⁹; beyond, the result is some value in [−1, 1]. */
const fastRange = { single: 1e6, double: 1e5 };

/** (sin r − r) / r³ and (cos r − 1 + r²/2) / r⁴, in r², for |r| ≤ π/4; minimax. */
const curves: ReadonlyMap<Format, { readonly sin: readonly number[]; readonly cos: readonly number[] }> = new Map([
  // Relative errors of 2^-27.9 and 2^-31.6.
  [
    single,
    {
      sin: [-0.166666552, 0.00833218731, -0.000195178975],
      cos: [0.0416666642, -0.00138880732, 2.45080846e-5],
    },
  ],
  // Relative errors of 2^-56.8 and 2^-62.8.
  [
    double,
    {
      sin: [
        -0.1666666666666663, 0.0083333333333220055, -0.00019841269829495468, 2.7557313587611448e-6,
        -2.5050742306827062e-8, 1.5895904686087979e-10,
      ],
      cos: [
        0.041666666666666664, -0.0013888888888884284, 2.4801587295250326e-5, -2.7557315878763645e-7,
        2.0875914759665253e-9, -1.1368859446401681e-11,
      ],
    },
  ],
]);

/** x = n·π/2 + r + rest; the lowest bits of `shifted` are n + turn. */
interface Reduced {
  readonly r: V128;
  readonly rest: V128;
  readonly shifted: V128;
}

type Reduction = (steps: Steps, x: V128, turn: number) => Omit<Reduced, 'rest'>;

function nearestQuarter(steps: Steps, x: V128, turn: number) {
  const rounding = f64x2.const(roundingConstant(double, turn));
  const shifted = steps.bind(f64x2.add(f64x2.mul(x, f64x2.const(2 / Math.PI)), rounding));
  return { shifted, n: steps.bind(f64x2.sub(shifted, rounding)) };
}

const times = (n: V128, part: number): V128 => f64x2.mul(n, f64x2.const(part));

/** Reduces f32 values widened to f64; the error is far below the precision of f32. */
function reduceCoarsely(steps: Steps, x: V128, turn: number): Omit<Reduced, 'rest'> {
  const { shifted, n } = nearestQuarter(steps, x, turn);
  const r = steps.bind(f64x2.sub(f64x2.sub(x, times(n, coarse[0])), times(n, coarse[1])));
  return { r, shifted };
}

/** Reduces to about 106 bits. */
function reduceFinely(steps: Steps, x: V128, turn: number): Reduced {
  const { shifted, n } = nearestQuarter(steps, x, turn);
  const first = steps.bind(f64x2.sub(x, times(n, fine[0])));
  const part = steps.bind(times(n, fine[1]));
  const second = steps.bind(f64x2.sub(first, part));
  const rest = steps.bind(f64x2.sub(f64x2.sub(f64x2.sub(first, second), part), times(n, fine[2])));
  const r = steps.bind(f64x2.add(second, rest));
  return { r, rest: steps.bind(f64x2.add(f64x2.sub(second, r), rest)), shifted };
}

/** Reduces large x: products with each part are exact, and sums keep their rounding errors. */
function reduceSlowly(steps: Steps, x: V128, turn: number): Reduced {
  const { shifted, n } = nearestQuarter(steps, x, turn);
  let sum = x;
  let lost = f64x2.const(0);
  for (const part of long) {
    const term = steps.bind(times(n, part));
    const next = steps.bind(f64x2.sub(sum, term));
    const back = steps.bind(f64x2.sub(next, sum));
    const error = f64x2.sub(f64x2.sub(sum, f64x2.sub(next, back)), f64x2.add(term, back));
    lost = steps.bind(f64x2.add(lost, error));
    sum = next;
  }
  const within = (value: V128, bound: number): V128 =>
    f64x2.pmax(f64x2.pmin(value, f64x2.const(bound)), f64x2.const(-bound));
  const r = steps.bind(within(f64x2.add(sum, lost), 0.8));
  return { r, rest: steps.bind(within(f64x2.add(f64x2.sub(sum, r), lost), 2 ** -50)), shifted };
}

/** ±sin(r + rest) for an even number of quarter turns, ±cos for an odd one; negative in the third and fourth quarter. */
function quarter(format: Format, steps: Steps, r: V128, rest: V128 | undefined, turns: V128): V128 {
  const { float, integer, bits, width } = format;
  const { sin, cos } = curves.get(format) as { sin: readonly number[]; cos: readonly number[] };
  const z = steps.bind(float.mul(r, r));
  const half = steps.bind(float.mul(z, float.const(0.5)));
  const parabola = steps.bind(float.sub(float.const(1), half));
  // With rest: sin(r + rest) ≈ sin r + rest·cos r, cos(r + rest) ≈ cos r − rest·sin r.
  const cubic = float.mul(float.mul(r, z), polynomial(format, steps, z, sin));
  const sinCurve = rest === undefined ? cubic : float.add(cubic, float.mul(rest, parabola));
  const quartic = float.mul(float.mul(z, z), polynomial(format, steps, z, cos));
  const parabolaError = float.sub(float.sub(float.const(1), parabola), half);
  const cosCurve = rest === undefined ? quartic : float.add(parabolaError, float.sub(quartic, float.mul(r, rest)));
  const isOdd = steps.bind(integer.sub(bits(0n), v128.and(turns, bits(1n))));
  const value = v128.bitselect(float.add(parabola, cosCurve), float.add(r, sinCurve), isOdd);
  const sign = signOf(format, integer.shl(turns, i32.const(width - 2)));
  return v128.xor(value, sign);
}

/** Reduces four f32 lanes as f64. */
function reduceHalves(steps: Steps, x: V128, turn: number, reduce: Reduction): { r: V128; turns: V128 } {
  const [a, b] = widen(steps, x);
  const [first, second] = [reduce(steps, a, turn), reduce(steps, b, turn)];
  return { r: narrow(first.r, second.r), turns: lowHalves(first.shifted, second.shifted) };
}

/** sin(x + turn·π/2) for a bound x. */
function sinAfter(format: Format, steps: Steps, x: V128, turn: number): V128 {
  const { float } = format;
  const isFar = float.gt(float.abs(x), float.const(format === single ? fastRange.single : fastRange.double));
  if (format === single) {
    const fast = reduceHalves(steps, x, turn, reduceCoarsely);
    const r = steps.variable(fast.r);
    const turns = steps.variable(fast.turns);
    steps.when(v128.anyTrue(isFar), (far) => {
      const slow = reduceHalves(far, x, turn, reduceSlowly);
      far.assign(r, slow.r);
      far.assign(turns, slow.turns);
    });
    return quarter(format, steps, steps.get(r), undefined, steps.get(turns));
  }
  const fast = reduceFinely(steps, x, turn);
  const r = steps.variable(fast.r);
  const rest = steps.variable(fast.rest);
  const shifted = steps.variable(fast.shifted);
  steps.when(v128.anyTrue(isFar), (far) => {
    const slow = reduceSlowly(far, x, turn);
    far.assign(r, slow.r);
    far.assign(rest, slow.rest);
    far.assign(shifted, slow.shifted);
  });
  return quarter(format, steps, steps.get(r), steps.get(rest), steps.get(shifted));
}

/** sin x, computed from |x| so that −0 stays −0. */
export const sin =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const input = steps.bind(x);
      const magnitude = steps.bind(format.float.abs(input));
      return v128.xor(sinAfter(format, steps, magnitude, 0), signOf(format, input));
    });

export const cos =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => sinAfter(format, steps, steps.bind(x), 1));
