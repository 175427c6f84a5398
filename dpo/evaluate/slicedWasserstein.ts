import { random, read, type Tensor } from '../../tensor/index.ts';
import { checkComparable, dot, type Features, rowOf } from './features.ts';
import type { Figure } from './figure.ts';
import { type JackknifeOptions, jackknife } from './jackknife.ts';

/** Options of `slicedWasserstein`. */
export interface SlicedWassersteinOptions extends JackknifeOptions {
  /** The random key of the directions. */
  readonly key: Tensor;
  /** Number of directions; default 128. */
  readonly projections?: number;
}

/**
 * The sliced 2-Wasserstein distance (Rabin et al. 2011; Bonneel et al. 2015) of two sets of features: the root of the mean of
 * squared 2-Wasserstein distances along random directions. Between two samples of one distribution it is above 0, and
 * decreases with their size. The interval is that of a jackknife over groups of rows, with the directions held fixed.
 * @throws TensorError if the features are not comparable or a set has fewer than 4 rows
 */
export async function slicedWasserstein(
  x: Features,
  y: Features,
  { key, projections = 128, ...options }: SlicedWassersteinOptions,
): Promise<Figure> {
  checkComparable('slicedWasserstein', x, y);
  const { width } = x;
  const normal = await read(random.normal(key, [projections, width]));
  const directions = Array.from({ length: projections }, (_, i) => {
    const direction = Float64Array.from(normal.subarray(i * width, (i + 1) * width));
    const length = Math.hypot(...direction);
    return direction.map((value) => value / length);
  });
  const distance = (a: Features, b: Features): number => {
    const squares = directions.map((direction) => squaredWasserstein(along(a, direction), along(b, direction)));
    return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / projections);
  };
  return jackknife('slicedWasserstein', x, y, distance, options);
}

/** The projections of the rows on a direction, sorted. */
const along = (features: Features, direction: Float64Array): Float64Array =>
  Float64Array.from({ length: features.count }, (_, row) => dot(rowOf(features, row), direction)).sort();

/** The squared 2-Wasserstein distance ∫₀¹ (F⁻¹(q) − G⁻¹(q))² dq of two sorted samples; F⁻¹ and G⁻¹ are step functions. */
function squaredWasserstein(a: Float64Array, b: Float64Array): number {
  let [sum, q, i, j] = [0, 0, 0, 0];
  while (i < a.length && j < b.length) {
    const [endA, endB] = [(i + 1) / a.length, (j + 1) / b.length];
    const next = Math.min(endA, endB);
    sum += (next - q) * ((a[i] as number) - (b[j] as number)) ** 2;
    q = next;
    if (endA === next) i++;
    if (endB === next) j++;
  }
  return sum;
}
