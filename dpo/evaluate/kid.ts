import { checkComparable, dot, type Features, pairwise } from './features.ts';
import { checkConfidence, type Figure } from './figure.ts';
import { jackknifeVariance } from './jackknife.ts';
import { normalQuantile } from './normalQuantile.ts';

type Kernel = (a: ArrayLike<number>, b: ArrayLike<number>) => number;

/**
 * The kernel inception distance (Bińkowski et al. 2018) of two sets of features: the squared maximum mean discrepancy
 *
 *   Σ_{i≠j} k(x_i, x_j)/(m(m − 1)) + Σ_{i≠j} k(y_i, y_j)/(n(n − 1)) − 2·Σ_{ij} k(x_i, y_j)/(mn),  k(x, y) = (x·y/width + 1)³
 *
 * The estimate is unbiased: its mean is 0 if both sets come from one distribution, so it can be negative. The interval is ±z
 * standard errors of a jackknife that leaves out one row at a time; it is too wide if both distributions are equal.
 * @throws TensorError if the features are not comparable, a set has fewer than 3 rows, or `confidence` is out of range
 */
export function kid(x: Features, y: Features, { confidence = 0.95 }: { readonly confidence?: number } = {}): Figure {
  checkConfidence('kid', confidence);
  // With one row left out, two must remain.
  checkComparable('kid', x, y, 3);
  const kernel: Kernel = (a, b) => (dot(a, b) / x.width + 1) ** 3;
  const [ownX, ownY, crossX, crossY] = [sums(kernel, x, x), sums(kernel, y, y), sums(kernel, x, y), sums(kernel, y, x)];
  const [m, n] = [x.count, y.count];
  const [within, beyond, between] = [total(ownX), total(ownY), total(crossX)];
  const value = within / (m * (m - 1)) + beyond / (n * (n - 1)) - (2 * between) / (m * n);
  // Leaving out a row removes its sum, twice from the sum within its set, since the kernel is symmetric.
  const withoutX = ownX.map(
    (own, i) =>
      (within - 2 * own) / ((m - 1) * (m - 2)) +
      beyond / (n * (n - 1)) -
      (2 * (between - (crossX[i] as number))) / ((m - 1) * n),
  );
  const withoutY = ownY.map(
    (own, j) =>
      within / (m * (m - 1)) +
      (beyond - 2 * own) / ((n - 1) * (n - 2)) -
      (2 * (between - (crossY[j] as number))) / (m * (n - 1)),
  );
  const half =
    normalQuantile((1 + confidence) / 2) * Math.sqrt(jackknifeVariance(withoutX) + jackknifeVariance(withoutY));
  return { value, low: value - half, high: value + half };
}

/** Σ_j k(a_i, b_j) for each row of a, without j = i if a and b are one set. */
function sums(kernel: Kernel, a: Features, b: Features): Float64Array {
  const values = pairwise(kernel, a, b);
  return Float64Array.from({ length: a.count }, (_, i) => {
    const row = total(values.subarray(i * b.count, (i + 1) * b.count));
    return a === b ? row - (values[i * b.count + i] as number) : row;
  });
}

const total = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, value) => sum + value, 0);
