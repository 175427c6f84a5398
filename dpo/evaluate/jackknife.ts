import { TensorError } from '../../tensor/index.ts';
import { checkComparable, type Features, selectRows } from './features.ts';
import { checkConfidence, type Figure } from './figure.ts';
import { normalQuantile } from './normalQuantile.ts';

/**
 * The jackknife variance of a statistic (Tukey 1958), (g − 1)/g·Σ (θ₍ᵢ₎ − mean)², from its values θ₍ᵢ₎ with group i of g
 * groups left out. A group may be a single observation.
 */
export function jackknifeVariance(leftOut: ArrayLike<number>): number {
  const values = Array.from(leftOut);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return ((values.length - 1) / values.length) * values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
}

/** Options of the jackknife interval of `fid` and `slicedWasserstein`. */
export interface JackknifeOptions {
  /** Number of groups; row i belongs to group i mod groups. Default 20; at most half the rows of a set. */
  readonly groups?: number;
  /** Confidence of the interval, between 0 and 1; default 0.95. */
  readonly confidence?: number;
}

/**
 * A statistic of two sets of features with an interval of ±z standard errors. The squared standard error is the sum of the
 * jackknife variances over groups of rows of `x` and of `y`.
 * @throws TensorError if the features are not comparable, a set has fewer than 4 rows, or `groups` or `confidence` is out of
 * range
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
