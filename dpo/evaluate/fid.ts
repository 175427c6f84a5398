import { type Features, rowOf } from './features.ts';
import type { Figure } from './figure.ts';
import { type JackknifeOptions, jackknife } from './jackknife.ts';
import { symmetricEigen } from './symmetricEigen.ts';

/**
 * The Fréchet inception distance (Heusel et al. 2017) of two sets of features: the squared 2-Wasserstein distance between
 * Gaussians with the means μ and the sample covariances Σ (divisor n − 1) of the sets,
 *
 *   |μ_x − μ_y|² + tr(Σ_x + Σ_y − 2·(Σ_x Σ_y)^½).
 *
 * The value is biased upwards, more so for few rows: compare only values of sets of equal size. The jackknife interval over
 * groups of rows covers the variance, not the bias.
 * @throws TensorError if the features are not comparable or a set has fewer than 4 rows
 */
export const fid = (x: Features, y: Features, options?: JackknifeOptions): Figure =>
  jackknife('fid', x, y, frechetDistance, options);

function frechetDistance(x: Features, y: Features): number {
  const { width } = x;
  const [a, b] = [gaussianOf(x), gaussianOf(y)];
  let distance = 0;
  for (let i = 0; i < width; i++) {
    const shift = (a.mean[i] as number) - (b.mean[i] as number);
    distance += shift ** 2 + (a.covariance[i * width + i] as number) + (b.covariance[i * width + i] as number);
  }
  // (Σ_x Σ_y)^½ has the trace of (Σ_x^½ Σ_y Σ_x^½)^½, which is symmetric.
  const root = squareRoot(a.covariance, width);
  const inner = symmetricEigen(multiply(multiply(root, b.covariance, width), root, width), width);
  // Rounding can make eigenvalues near 0 negative.
  for (const value of inner.values) distance -= 2 * Math.sqrt(Math.max(0, value));
  return distance;
}

/** Mean [width] and sample covariance [width, width] of the rows. */
function gaussianOf(features: Features): { mean: Float64Array; covariance: Float64Array } {
  const { count, width } = features;
  const mean = new Float64Array(width);
  const covariance = new Float64Array(width * width);
  for (let row = 0; row < count; row++)
    rowOf(features, row).forEach((value, i) => {
      (mean[i] as number) += value / count;
    });
  for (let row = 0; row < count; row++) {
    const centred = Float64Array.from(rowOf(features, row), (value, i) => value - (mean[i] as number));
    for (let i = 0; i < width; i++) {
      const scaled = (centred[i] as number) / (count - 1);
      for (let j = 0; j < width; j++) (covariance[i * width + j] as number) += scaled * (centred[j] as number);
    }
  }
  return { mean, covariance };
}

/** The positive semidefinite square root of a covariance [n, n]. */
function squareRoot(matrix: Float64Array, n: number): Float64Array {
  const { values, vectors } = symmetricEigen(matrix, n);
  // V·diag(λ^¼), times its transpose.
  const scaled = vectors.map((value, i) => value * Math.max(0, values[i % n] as number) ** 0.25);
  return multiply(scaled, transposed(scaled, n), n);
}

const transposed = (matrix: Float64Array, n: number): Float64Array =>
  matrix.map((_, i) => matrix[(i % n) * n + Math.floor(i / n)] as number);

function multiply(a: Float64Array, b: Float64Array, n: number): Float64Array {
  const product = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) {
      const factor = a[i * n + k] as number;
      for (let j = 0; j < n; j++) (product[i * n + j] as number) += factor * (b[k * n + j] as number);
    }
  }
  return product;
}
