import { TensorError } from '../../tensor/index.ts';
import { checkComparable, type Features, rowOf, squaredDistance } from './features.ts';
import type { Figure } from './figure.ts';
import { wilsonInterval } from './proportions.ts';

/** The nearest training image of each sample: the result of `nearestNeighbours`. */
export interface NearestNeighbours {
  /** For each sample the row of the nearest image, the first of several, */
  readonly rows: Int32Array;
  /** and its Euclidean distance. */
  readonly distances: Float64Array;
}

/**
 * The nearest training image to each sample. A model that has memorised is near to single training images; compare
 * with distances of held-out real images to the training images.
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
  /** A ball reaches to the k-th nearest neighbour of its centre; default 3. */
  readonly neighbours?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

/**
 * Improved precision and recall (Kynkäänniemi et al. 2019). A set's support is estimated by balls around its rows, each
 * reaching to the k-th nearest other row. Precision is the share of samples in the support of the real images: are they
 * good? Recall is the share of real images in the support of the samples: is everything there? With Wilson's intervals,
 * the supports taken as given. Both grow with the number of rows: compare sets of one size alone.
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

/** For each row the squared distance to its k-th nearest other one. */
function squaredRadii(support: Features, k: number): Float64Array {
  return Float64Array.from({ length: support.count }, (_, i) => {
    const others = new Float64Array(support.count - 1);
    for (let j = 0; j < others.length; j++)
      others[j] = squaredDistance(rowOf(support, i), rowOf(support, j < i ? j : j + 1));
    return others.sort()[k - 1] as number;
  });
}

/** How many rows lie in at least one ball. */
function countInside(of: Features, support: Features, radii: Float64Array): number {
  let inside = 0;
  for (let i = 0; i < of.count; i++) {
    const row = rowOf(of, i);
    if (radii.some((radius, j) => squaredDistance(row, rowOf(support, j)) <= radius)) inside++;
  }
  return inside;
}
