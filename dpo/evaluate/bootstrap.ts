import { random, read, type Tensor, TensorError } from '../../tensor/index.ts';
import { checkConfidence, type Figure, quantile } from './figure.ts';

/** Options of `bootstrap` and `bootstrapMean`. */
export interface BootstrapOptions {
  /** The random key of the resamples. */
  readonly key: Tensor;
  /** Number of resamples; default 2000. */
  readonly resamples?: number;
  /** Confidence of the interval, between 0 and 1; default 0.95. */
  readonly confidence?: number;
}

/**
 * A statistic with its percentile bootstrap interval (Efron 1979): its value over all `count` observations, and the
 * quantiles (1 ∓ confidence)/2 of its values over `resamples` resamples, drawn with replacement. `statistic` receives the
 * indices of the drawn observations, 0 … count − 1. If observations come in groups, such as images of one caption, treat
 * each group as one observation.
 * @throws TensorError if `count` or `resamples` is not a whole number above 0, or `confidence` is not between 0 and 1
 */
export async function bootstrap(
  count: number,
  statistic: (drawn: ArrayLike<number>) => number,
  { key, resamples = 2000, confidence = 0.95 }: BootstrapOptions,
): Promise<Figure> {
  checkConfidence('bootstrap', confidence);
  if (!(Number.isInteger(count) && count >= 1))
    throw new TensorError(`bootstrap: needs at least 1 observation, got ${count}`);
  if (!(Number.isInteger(resamples) && resamples >= 1))
    throw new TensorError(`bootstrap: needs at least 1 resample, got ${resamples}`);
  const drawn = await read(random.randint(key, [resamples, count], 0, count));
  const values = Float64Array.from({ length: resamples }, (_, i) =>
    statistic(drawn.subarray(i * count, (i + 1) * count)),
  );
  values.sort();
  return {
    value: statistic(Int32Array.from({ length: count }, (_, i) => i)),
    low: quantile(values, (1 - confidence) / 2),
    high: quantile(values, (1 + confidence) / 2),
  };
}

/** The mean of values with its bootstrap interval; errors as `bootstrap`. */
export const bootstrapMean = (values: ArrayLike<number>, options: BootstrapOptions): Promise<Figure> =>
  bootstrap(values.length, (drawn) => meanOf(drawn, values), options);

/** Mean of the values at the drawn indices. */
function meanOf(drawn: ArrayLike<number>, values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < drawn.length; i++) sum += values[drawn[i] as number] as number;
  return sum / drawn.length;
}
