import { TensorError } from '../../tensor/index.ts';

/** Feature vectors of images, one row for each image. */
export interface Features {
  /** Number of rows. */
  readonly count: number;
  /** Numbers in each row. */
  readonly width: number;
  /** [count, width], row-major. */
  readonly values: Float32Array | Float64Array;
}

/** Throws a TensorError unless the features have count · width finite values, and at least `least` rows. */
export function checkFeatures(what: string, features: Features, least = 1): void {
  const { count, width, values } = features;
  if (!(Number.isInteger(count) && Number.isInteger(width) && width > 0 && values.length === count * width))
    throw new TensorError(`${what}: ${values.length} numbers are not ${count} rows of ${width}`);
  if (count < least) throw new TensorError(`${what}: needs at least ${least} rows of features, got ${count}`);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new TensorError(
      `${what}: number ${bad % width} of row ${Math.floor(bad / width)} of the features is ${values[bad]}, not finite`,
    );
}

/** Throws a TensorError unless both pass `checkFeatures` and have one width. */
export function checkComparable(what: string, a: Features, b: Features, least = 1): void {
  checkFeatures(what, a, least);
  checkFeatures(what, b, least);
  if (a.width !== b.width)
    throw new TensorError(`${what}: features of width ${a.width} and ${b.width} are not of one network`);
}

/** A view of one row. */
export const rowOf = ({ width, values }: Features, row: number): Float32Array | Float64Array =>
  values.subarray(row * width, (row + 1) * width);

/**
 * Copies the given rows, in the given order.
 * @throws TensorError if a row does not exist
 */
export function selectRows(features: Features, rows: readonly number[]): Features {
  const { width } = features;
  const values = new Float64Array(rows.length * width);
  rows.forEach((row, i) => {
    if (!(Number.isInteger(row) && row >= 0 && row < features.count))
      throw new TensorError(`selectRows: there is no row ${row} among ${features.count}`);
    values.set(rowOf(features, row), i * width);
  });
  return { count: rows.length, width, values };
}

/** Σ a·b. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** Σ (a − b)². */
export function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return sum;
}

/** f of every row of a and every row of b: [a.count, b.count], row-major. */
export function pairwise(
  f: (a: ArrayLike<number>, b: ArrayLike<number>) => number,
  a: Features,
  b: Features,
): Float64Array {
  const rows = Array.from({ length: b.count }, (_, j) => rowOf(b, j));
  const values = new Float64Array(a.count * b.count);
  for (let i = 0; i < a.count; i++) {
    const row = rowOf(a, i);
    for (let j = 0; j < b.count; j++) values[i * b.count + j] = f(row, rows[j] as Float64Array);
  }
  return values;
}
