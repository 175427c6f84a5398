import { dispose, random, read, type Tensor } from '../../tensor/index.ts';
import { type PairBatchOptions, pairBatches } from '../data/pairBatches.ts';
import type { PairSource } from '../data/sources.ts';
import { type PairConditioning, pairTensors } from './pairTensors.ts';
import { type PreferenceTask, preferenceLoss, reportRows } from './preferenceStep.ts';

/** How a model ranks pairs, for each of them. */
export interface PairRanking {
  /** Share of draws in which the pair is ranked as labelled; ties count half. */
  readonly correct: Float64Array;
  /** u, the mean over draws. */
  readonly margin: Float64Array;
  /** d_w and d_l, means over draws. */
  readonly winnerChange: Float64Array;
  readonly loserChange: Float64Array;
}

export interface RankPairsOptions<P> {
  readonly task: PreferenceTask<P>;
  readonly params: P;
  readonly reference: P;
  readonly source: PairSource;
  readonly conditioning: PairConditioning;
  readonly batch: Omit<PairBatchOptions, 'from' | 'captionDropout' | 'flip' | 'crop'>;
  /** How many noises and time steps each pair is judged with. */
  readonly draws: number;
  readonly key: Tensor;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ranks every pair of a source, each with `draws` draws of noise and time step (the paper takes 10). Which they are depends on
 * the key and the batch size alone, so that two models are judged by the same.
 */
export async function rankPairs<P>(options: RankPairsOptions<P>): Promise<PairRanking> {
  const { task, params, reference, source, conditioning, draws, key, signal } = options;
  const { count } = source;
  const batchSize = Math.min(options.batch.batchSize, count);
  const batches = Math.ceil(count / batchSize);
  const columns = reportRows.slice(reportRows.indexOf('winnerChange'));
  const sums = Object.fromEntries(columns.map((name) => [name, new Float64Array(count)])) as Record<
    (typeof reportRows)[number],
    Float64Array
  >;
  for (let d = 0; d < draws; d++) {
    // The stream goes on into the next epoch to fill its last batch; what goes beyond this one is left out.
    const stream = pairBatches(source, { ...options.batch, batchSize, crop: 'center', flip: false, captionDropout: 0 });
    let at = 0;
    for await (const batch of stream) {
      signal?.throwIfAborted();
      const drawn = random.foldIn(random.foldIn(key, d), at);
      const { batch: pairs, leaves } = pairTensors(conditioning, batch);
      const values = await read(preferenceLoss(task, params, reference, pairs, drawn).pairs);
      dispose(leaves);
      const used = Math.min(batchSize, count - at * batchSize);
      for (const name of columns) {
        const row = reportRows.indexOf(name) * batchSize;
        for (let i = 0; i < used; i++)
          sums[name][at * batchSize + i] =
            (sums[name][at * batchSize + i] as number) + (values[row + i] as number) / draws;
      }
      if (++at === batches) break;
    }
  }
  const { correct, margin, winnerChange, loserChange } = sums;
  return { correct, margin, winnerChange, loserChange };
}
