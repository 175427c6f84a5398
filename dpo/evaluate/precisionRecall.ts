import { TensorError } from '../../tensor/index.ts';
import { checkComparable, type Features, rowOf, squaredDistance } from './features.ts';
import type { Figure } from './figure.ts';
import { wilsonInterval } from './proportions.ts';

/** The nearest training image of each sample: the result of `nearestNeighbours`. */
export interface NearestNeighbours {
  /** The row of each sample's nearest training image; the first of several equally near. */
  readonly rows: Int32Array;
  /** The Euclidean distance of each sample to that image. */
  readonly distances: Float64Array;
}

/**
 * Finds the nearest training image of each sample. Samples of a model that has memorised its training images are nearer to
 * them than held-out real images are.
 * @throws TensorError if the features are not comparable
 */
export function nearestNeighbours(samples: Features, training: Features): NearestNeighbours {
  checkComparable('nearestNeighbours', samples, training);
  const rows = new Int32Array(samples.count);
  const distances = new Float64Array(samples.count).fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < samples.count; i++) {
    for (let j = 0; j < training.count; j++) {
      const distance = squaredDistance(rowOf(samples, i), rowOf(training, j));
      if (distance < (distances[i] as number)) [rows[i], distances[i]] = [j, distance];
    }
  }
  return { rows, distances: distances.map(Math.sqrt) };
}

/** Options of `precisionRecall`. */
export interface PrecisionRecallOptions {
  /** k: the radius of a ball is the distance from its centre to the k-th nearest other row; default 3. */
  readonly neighbours?: number;
  /** Confidence of the intervals, between 0 and 1; default 0.95. */
  readonly confidence?: number;
}

/**
 * Improved precision and recall (Kynkäänniemi et al. 2019). The support of a set is estimated by balls around its rows, each
 * with the distance to the k-th nearest other row as its radius. Precision, the share of samples in the support of the real
 * images, measures fidelity. Recall, the share of real images in the support of the samples, measures coverage. Wilson's
 * intervals take the supports as given. Both values grow with the number of rows: compare only sets of equal size.
 * @throws TensorError if the features are not comparable, or `neighbours` is not a whole number from 1 and below both counts
 */
export function precisionRecall(
  samples: Features,
  real: Features,
  { neighbours = 3, confidence }: PrecisionRecallOptions = {},
): { readonly precision: Figure; readonly recall: Figure } {
  checkComparable('precisionRecall', samples, real);
  const least = Math.min(samples.count, real.count);
  if (!(Number.isInteger(neighbours) && neighbours >= 1 && neighbours < least)) {
    throw new TensorError(
      `precisionRecall: neighbours must be a whole number from 1 and less than the rows of both sets, ${least}; got ${neighbours}`,
    );
  }
  const share = (of: Features, support: Features): Figure =>
    wilsonInterval(countInside(of, support, squaredRadii(support, neighbours)), of.count, confidence);
  return { precision: share(samples, real), recall: share(real, samples) };
}

/** The squared distance of each row to its k-th nearest other row. */
function squaredRadii(support: Features, k: number): Float64Array {
  return Float64Array.from({ length: support.count }, (_, i) => {
    const others = new Float64Array(support.count - 1);
    for (let j = 0; j < others.length; j++)
      others[j] = squaredDistance(rowOf(support, i), rowOf(support, j < i ? j : j + 1));
    return others.sort()[k - 1] as number;
  });
}

/** Counts the rows that lie in at least one ball. */
function countInside(of: Features, support: Features, radii: Float64Array): number {
  let inside = 0;
  for (let i = 0; i < of.count; i++) {
    const row = rowOf(of, i);
    if (radii.some((radius, j) => squaredDistance(row, rowOf(support, j)) <= radius)) inside++;
  }
  return inside;
}
