import { random, read, type Tensor, TensorError } from '../../tensor/index.ts';
import { checkConfidence, type Figure, quantile } from './figure.ts';

/** Options of `bootstrap` and `bootstrapMean`. */
export interface BootstrapOptions {
  /** What the resamples are drawn by. */
  readonly key: Tensor;
  /** How many resamples; default 2000. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

/**
 * A statistic with its percentile bootstrap interval (Efron 1979): the value over all `count` observations, and the ends
 * between which it lies in the middle share `confidence` of `resamples` drawn with replacement. `statistic` gets the
 * numbers of the observations that were drawn. Where observations come in groups, such as images of one caption, let an
 * observation be a group.
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

/** The mean of numbers with its bootstrap interval. */
export const bootstrapMean = (values: ArrayLike<number>, options: BootstrapOptions): Promise<Figure> =>
  bootstrap(values.length, (drawn) => meanOf(drawn, values), options);

/** Mean of those values that were drawn. */
function meanOf(drawn: ArrayLike<number>, values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < drawn.length; i++) sum += values[drawn[i] as number] as number;
  return sum / drawn.length;
}
