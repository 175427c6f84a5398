import { TensorError } from '../../tensor/index.ts';
import { checkComparable, type Features, selectRows } from './features.ts';
import { checkConfidence, type Figure } from './figure.ts';
import { normalQuantile } from './normalQuantile.ts';

/**
 * The variance of a statistic from its values with one of g groups of observations left out at a time (Tukey 1958):
 * (g − 1)/g·Σ (θ₍ᵢ₎ − mean)². A group may be a single observation.
 */
export function jackknifeVariance(leftOut: ArrayLike<number>): number {
  const values = Array.from(leftOut);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return ((values.length - 1) / values.length) * values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
}

/** Options of the jackknife interval of `fid` and `slicedWasserstein`. */
export interface JackknifeOptions {
  /** Groups of rows that are left out in turn: row i is in group i mod groups. Default 20, or fewer where rows are few. */
  readonly groups?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

/**
 * A statistic of two sets of features with an interval of ±z standard errors, of a jackknife that leaves out a group of
 * rows of the one set at a time, then of the other.
 */
export function jackknife(
  what: string,
  x: Features,
  y: Features,
  statistic: (x: Features, y: Features) => number,
  { groups = 20, confidence = 0.95 }: JackknifeOptions = {},
): Figure {
  checkConfidence(what, confidence);
  checkComparable(what, x, y, 4);
  if (!(Number.isInteger(groups) && groups >= 2))
    throw new TensorError(`${what}: needs at least 2 groups, got ${groups}`);
  const leftOut = (set: Features, f: (rest: Features) => number): number[] => {
    const count = Math.min(groups, Math.floor(set.count / 2));
    return Array.from({ length: count }, (_, group) => {
      const kept = Array.from({ length: set.count }, (_, row) => row).filter((row) => row % count !== group);
      return f(selectRows(set, kept));
    });
  };
  const variance =
    jackknifeVariance(leftOut(x, (rest) => statistic(rest, y))) +
    jackknifeVariance(leftOut(y, (rest) => statistic(x, rest)));
  const value = statistic(x, y);
  const half = normalQuantile((1 + confidence) / 2) * Math.sqrt(variance);
  return { value, low: value - half, high: value + half };
}
