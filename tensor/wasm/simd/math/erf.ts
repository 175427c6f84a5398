import { type V128, v128 } from '../../assembler/instructions.ts';
import { expNormal } from './exp.ts';
import { double, type Format, polynomial, signOf, single } from './format.ts';
import { evaluate, type Steps, type VectorFunction } from './steps.ts';

interface Table {
  /** Below it, erf x = x + x·near(x²); above it, 1 − erfc x. */
  readonly border: number;
  /** From here on, erf x rounds to 1. */
  readonly one: number;
  readonly near: readonly number[];
  /** erfc x for a bound x between `border` and `one`. */
  readonly complement: (steps: Steps, x: V128) => V128;
}

/** −log(erfc x) for x in [0.85, 4]; minimax, weighted by erfc x; leaves an error of 2^-28.5 of erf x. */
const exponent = [0.000104523417, 1.12806106, 0.636518776, 0.104526103, -0.0225191023, 0.00311783142, -0.000203665375];

/** erfc x·e^(x²) in (x − 2.5)/(x + 2.5), x in [0.75, 5.95]; minimax, weighted by e^(−x²); leaves 2^-57.1 of erf x. */
const scaledComplement = [
  0.21080636406114348, -0.37173673394896933, 0.2517131932176771, -0.12503305237666779, 0.039922539058025903,
  -0.0039937015968664917, -0.0026423686304887285, 0.00087591430141702284, 0.00022845644075724072,
  -0.0001283693508288311, -3.2426549505928462e-5, 2.2389011971167471e-5, 1.2743631688096802e-5, 2.0537045901590862e-6,
];

/** The polynomials near 0 are minimax and leave relative errors of 2^-27.1 (f32) and 2^-55.9 (f64). */
const tables: ReadonlyMap<Format, Table> = new Map([
  [
    single,
    {
      border: 0.85,
      one: 4,
      near: [0.128379166, -0.376125902, 0.11282865, -0.0268072877, 0.00505770091, -0.000634849595],
      complement: (steps, x) => {
        const { float } = single;
        return expNormal(single, steps, steps.bind(float.neg(polynomial(single, steps, x, exponent))));
      },
    },
  ],
  [
    double,
    {
      border: 0.75,
      one: 5.95,
      near: [
        0.12837916709551259, -0.37612638903183715, 0.11283791670952481, -0.026866170644402484, 0.0052239776151223232,
        -0.00085483261690927055, 0.00012055288777267046, -1.4924176638305783e-5, 1.6430388235149144e-6,
        -1.5937600210821719e-7, 1.1463758616515637e-8,
      ],
      // The rounding error of x² matters little: where x² is large, erfc x is small.
      complement: (steps, x) => {
        const { float } = double;
        const middle = float.const(2.5);
        const t = steps.bind(float.div(float.sub(x, middle), float.add(x, middle)));
        const e = expNormal(double, steps, steps.bind(float.neg(float.mul(x, x))));
        return float.mul(e, polynomial(double, steps, t, scaledComplement));
      },
    },
  ],
]);

/** The error function. */
export const erf =
  (format: Format): VectorFunction =>
  (scope, x) =>
    evaluate(scope, (steps) => {
      const { float } = format;
      const { border, one, near, complement } = tables.get(format) as Table;
      const input = steps.bind(x);
      const magnitude = steps.bind(float.abs(input));
      const square = steps.bind(float.mul(input, input));
      const small = float.add(float.mul(input, polynomial(format, steps, square, near)), input);
      const bounded = steps.bind(float.pmin(magnitude, float.const(one)));
      const large = float.sub(float.const(1), complement(steps, bounded));
      const isSmall = float.lt(magnitude, float.const(border));
      return v128.bitselect(small, v128.or(large, signOf(format, input)), isSmall);
    });
