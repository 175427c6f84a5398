import { type PairBatchOptions, pairBatches } from '../data/pairBatches.ts';
import type { PairSource } from '../data/sources.ts';

/** The most pairs that the variance is taken over. */
const sampleSize = 512;

/**
 * The variance of each pixel's values over the images of up to 512 pairs, averaged over pixels and channels: s² of
 * score-consistent weights.
 */
export async function variance(source: PairSource, options: PairBatchOptions): Promise<number> {
  const batchSize = Math.min(32, source.count);
  const batches = Math.ceil(Math.min(sampleSize, source.count) / batchSize);
  let [count, sums, squares]: [number, Float64Array, Float64Array] = [0, new Float64Array(0), new Float64Array(0)];
  let seen = 0;
  for await (const { winner, loser } of pairBatches(source, { ...options, batchSize })) {
    const dimensions = winner.length / batchSize;
    if (count === 0) [sums, squares] = [new Float64Array(dimensions), new Float64Array(dimensions)];
    for (const side of [winner, loser]) {
      side.forEach((value, i) => {
        sums[i % dimensions] = (sums[i % dimensions] as number) + value;
        squares[i % dimensions] = (squares[i % dimensions] as number) + value ** 2;
      });
    }
    count += 2 * batchSize;
    if (++seen === batches) break;
  }
  return sums.reduce((sum, one, i) => sum + (squares[i] as number) / count - (one / count) ** 2, 0) / sums.length;
}
