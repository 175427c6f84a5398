import { type Accuracy, accuracyOf, type Direction, displaced, extrapolated, magnitudeOf } from './differences.ts';
import { pseudoRandom, signedWeights } from './pseudoRandom.ts';
import { combine, GradientCheckError, type GradientReport, severity } from './report.ts';

/** Options of `checkGradientFunction`. */
export interface GradientFunctionOptions {
  /**
   * 'elements' compares every partial derivative; 'directions' compares derivatives in random directions that move all
   * elements at once; 'auto' (the default) takes 'elements' up to 64 elements, else 'directions'.
   */
  readonly mode?: 'elements' | 'directions' | 'auto';
  /** The number of random directions; default 4. */
  readonly directions?: number;
  /** The seed of the directions; default 0. */
  readonly seed?: number;
  /** The relative precision of the function's arithmetic, which sets steps and tolerances; default 2^−52 (float64). */
  readonly precision?: number;
  /** The error allowed relative to the gradient; default √precision. */
  readonly rtol?: number;
  /** The error allowed relative to the function's values, or to `scale`; default 1000·precision^(3/4). */
  readonly atol?: number;
  /** The smallest magnitude that `atol` is relative to; default 1. */
  readonly scale?: number;
  /** A wrong gradient throws (the default) or, if false, is only reported. */
  readonly throws?: boolean;
}

/** A function of a vector, and the gradient to check. */
export interface GradientFunction {
  readonly value: (x: Float64Array) => number | Promise<number>;
  readonly gradient: (x: Float64Array) => ArrayLike<number> | Promise<ArrayLike<number>>;
}

/** A function that evaluates many points at once, and its gradient at one. */
export interface BatchFunction {
  readonly values: (points: readonly Float64Array[]) => Promise<ArrayLike<number>>;
  readonly gradient: ArrayLike<number>;
}

/**
 * Compares a gradient with extrapolated central differences of the function at x, for functions of any library.
 * `differences.ts` describes the method, the step and the tolerance.
 * @throws GradientCheckError where the two disagree or a value is NaN or infinite; TypeError for a gradient whose length is
 * not that of x
 *
 * ```ts
 * const cube = {
 *   value: (x: Float64Array) => x.reduce((sum, xi) => sum + xi ** 3, 0),
 *   gradient: (x: Float64Array) => x.map((xi) => 3 * xi ** 2),
 * };
 * await checkGradientFunction(cube, Float64Array.of(0.5, -1, 2));
 * ```
 *
 * To check a second derivative, pass `value: (x) => ⟨∇f(x), v⟩` and `gradient: (x) => ∇²f(x)·v`.
 */
export async function checkGradientFunction(
  { value, gradient }: GradientFunction,
  x: Float64Array,
  options: GradientFunctionOptions = {},
): Promise<GradientReport> {
  const batch: BatchFunction = {
    values: async (points) => {
      const values: number[] = [];
      for (const point of points) values.push(await value(point));
      return values;
    },
    gradient: await gradient(x.slice()),
  };
  const report = await checkBatch(batch, x, options);
  if (!report.ok && options.throws !== false) throw new GradientCheckError(report);
  return report;
}

/** Displaced points per evaluation. */
const batchSize = 256;
/** The largest vector that the mode 'auto' checks element by element. */
const mostElements = 64;

/** The comparison of both derivatives along one direction. */
interface Finding {
  readonly direction: Direction;
  readonly analytic: number;
  readonly numeric: number;
  readonly error: number;
  readonly tolerance: number;
}

/** The check itself; does not throw for a wrong gradient. The report's indices are those of the vector. */
export async function checkBatch(
  { values, gradient }: BatchFunction,
  x: Float64Array,
  options: GradientFunctionOptions,
): Promise<GradientReport> {
  if (gradient.length !== x.length) {
    throw new TypeError(`the gradient has ${gradient.length} elements, but x has ${x.length}; they must agree`);
  }
  const { mode = 'auto', directions = 4, seed = 0, precision = 2 ** -52, scale = 1 } = options;
  const derived = accuracyOf(precision);
  const accuracy = { ...derived, rtol: options.rtol ?? derived.rtol, atol: options.atol ?? derived.atol };
  const byElement = mode === 'elements' || (mode === 'auto' && x.length <= mostElements);
  const ways = byElement
    ? Array.from(x, (_, i) => elementDirection(x, i, accuracy))
    : randomDirections(x, x.length === 0 ? 0 : directions, seed, accuracy);

  const examine = async (batch: readonly Direction[]): Promise<Finding[]> => {
    const found = await values(batch.flatMap((direction) => displaced(x, direction)));
    return batch.map((direction, i) =>
      compare(
        direction,
        Array.from({ length: 4 }, (_, k) => found[4 * i + k] as number),
        gradient,
        accuracy,
        scale,
      ),
    );
  };
  const reports: GradientReport[] = [];
  for (let start = 0; start < ways.length; start += batchSize / 4) {
    for (const finding of await examine(ways.slice(start, start + batchSize / 4))) {
      const worst = severity(finding) > 1 ? await narrow(finding, examine) : finding;
      reports.push(reportOf(worst, finding));
    }
  }
  return combine(reports);
}

function elementDirection(x: Float64Array, index: number, { step }: Accuracy): Direction {
  return { indices: [index], weights: Float64Array.of(1), step: step * magnitudeOf(x[index] as number) };
}

/** Random directions of length about 1, relative to the magnitudes of the elements. */
function randomDirections(x: Float64Array, count: number, seed: number, { step }: Accuracy): Direction[] {
  const random = pseudoRandom(seed);
  const length = 2 ** Math.round(Math.log2(x.length) / 2);
  const indices = Array.from(x, (_, i) => i);
  return Array.from({ length: count }, () => ({
    indices,
    weights: signedWeights(x.length, random).map((weight, i) => (weight / length) * magnitudeOf(x[i] as number)),
    step,
  }));
}

function compare(
  direction: Direction,
  values: readonly number[],
  gradient: ArrayLike<number>,
  { step, atol, rtol }: Accuracy,
  scale: number,
): Finding {
  let analytic = 0;
  let magnitude = 0;
  direction.weights.forEach((weight, i) => {
    const part = (gradient[direction.indices[i] as number] as number) * weight;
    analytic += part;
    magnitude += Math.abs(part);
  });
  const numeric = extrapolated(values, direction.step);
  const size = Math.max(scale, ...values.map(Math.abs));
  const tolerance = atol * size * (step / direction.step) + rtol * (magnitude + Math.abs(numeric));
  return { direction, analytic, numeric, error: Math.abs(analytic - numeric), tolerance };
}

/** Bisects a direction whose derivative is wrong, keeping the worse half, down to one element. */
async function narrow(
  finding: Finding,
  examine: (batch: readonly Direction[]) => Promise<readonly Finding[]>,
): Promise<Finding> {
  const { indices, weights, step } = finding.direction;
  if (weights.length === 1) return finding;
  const middle = weights.length >> 1;
  const halves = [
    { indices: Array.from(indices).slice(0, middle), weights: weights.slice(0, middle), step },
    { indices: Array.from(indices).slice(middle), weights: weights.slice(middle), step },
  ];
  const [first, second] = (await examine(halves)) as [Finding, Finding];
  const worse = severity(second) > severity(first) ? second : first;
  // The errors of the halves may each pass although their sum does not.
  return severity(worse) > 1 ? narrow(worse, examine) : finding;
}

/** A finding as a report; where one element was moved, its derivatives are partial derivatives. */
function reportOf(worst: Finding, original: Finding): GradientReport {
  const [weight] = worst.direction.weights;
  const single = worst.direction.weights.length === 1 && weight !== undefined;
  const unit = single ? weight : 1;
  return {
    ok: severity(original) <= 1,
    worst: {
      input: 'x',
      index: single ? [worst.direction.indices[0] as number] : undefined,
      analytic: worst.analytic / unit,
      numeric: worst.numeric / unit,
      error: worst.error / Math.abs(unit),
      tolerance: worst.tolerance / Math.abs(unit),
      order: 1,
    },
    checked: 1,
  };
}
