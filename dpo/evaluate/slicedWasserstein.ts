import { random, read, type Tensor } from '../../tensor/index.ts';
import { checkComparable, dot, type Features, rowOf } from './features.ts';
import type { Figure } from './figure.ts';
import { type JackknifeOptions, jackknife } from './jackknife.ts';

/** Options of `slicedWasserstein`. */
export interface SlicedWassersteinOptions extends JackknifeOptions {
  /** What directions are drawn by. */
  readonly key: Tensor;
  /** How many directions; default 128. */
  readonly projections?: number;
}

/**
 * The sliced 2-Wasserstein distance (Rabin et al. 2011; Bonneel et al. 2015) of two sets of features: √ of the mean over
 * random directions of the squared 2-Wasserstein distance along that direction. Not 0 between two samples of one
 * distribution, but less the larger they are. The interval is by a jackknife over groups of rows, the directions kept.
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

/** Where the rows lie along a direction, sorted. */
const along = (features: Features, direction: Float64Array): Float64Array =>
  Float64Array.from({ length: features.count }, (_, row) => dot(rowOf(features, row), direction)).sort();

/** ∫ (F⁻¹(q) − G⁻¹(q))² dq over q from 0 to 1 for two sorted samples, whose inverse distribution functions are steps. */
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
