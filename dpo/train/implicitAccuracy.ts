import { dispose, random, read, type Tensor } from '../../tensor/index.ts';
import { type PairBatchOptions, pairBatches } from '../data/pairBatches.ts';
import type { PairSource } from '../data/sources.ts';
import { type PairConditioning, pairTensors } from './pairTensors.ts';
import {
  type PreferenceBatch,
  type PreferenceTask,
  preferenceLoss,
  referenceErrors,
  reportRows,
} from './preferenceStep.ts';
import { type ErrorsOf, readErrors, storedErrors } from './storedErrors.ts';

/** How a model ranks pairs, for each of them that can be read. */
export interface PairRanking {
  /** Share of draws in which the pair is ranked as labelled; ties count half. */
  readonly correct: Float64Array;
  /** u, the mean over draws. */
  readonly margin: Float64Array;
  /** d_w and d_l, means over draws. */
  readonly winnerChange: Float64Array;
  readonly loserChange: Float64Array;
}

/** What pairs are judged with: which noise and time steps each is given. */
export interface RankingDraws<P> {
  readonly task: PreferenceTask<P>;
  readonly source: PairSource;
  readonly conditioning: PairConditioning;
  readonly batch: Omit<PairBatchOptions, 'from' | 'captionDropout' | 'flip' | 'crop'>;
  /** How many noises and time steps each pair is judged with. */
  readonly draws: number;
  readonly key: Tensor;
  /** Told once what is wrong with each row that is left out since it cannot be read. */
  readonly onSkipped?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RankPairsOptions<P> extends RankingDraws<P> {
  readonly params: P;
  /** A frozen model, or its errors in each of the batches that the same draws make. */
  readonly reference: P | ErrorsOf;
}

/** How many pairs are judged at a time, and how many batches all of them make. */
function sizesOf({ count }: PairSource, batch: { readonly batchSize: number }) {
  const batchSize = Math.min(batch.batchSize, count);
  return { batchSize, batches: Math.ceil(count / batchSize) };
}

/** Calls back for every batch of every draw, in order, with what the pairs' noise is drawn from. */
async function eachBatch<P>(
  { source, conditioning, batch, draws, key, onSkipped, signal }: RankingDraws<P>,
  visit: (
    inputs: PreferenceBatch,
    drawn: Tensor,
    at: { readonly index: number; readonly first: number; readonly standIns: readonly number[] },
  ) => Promise<void>,
): Promise<void> {
  const { batchSize, batches } = sizesOf(source, batch);
  const told = new Set<string>();
  for (let d = 0; d < draws; d++) {
    // The stream goes on into the next epoch to fill its last batch; what goes beyond this one is left out.
    const stream = pairBatches(source, { ...batch, batchSize, crop: 'center', flip: false, captionDropout: 0 });
    let at = 0;
    for await (const host of stream) {
      signal?.throwIfAborted();
      for (const message of host.skipped) if (!told.has(message)) onSkipped?.(message);
      for (const message of host.skipped) told.add(message);
      const { batch: inputs, leaves } = pairTensors(conditioning, host);
      const drawn = random.foldIn(random.foldIn(key, d), at);
      await visit(inputs, drawn, { index: d * batches + at, first: at * batchSize, standIns: host.standIns });
      dispose(leaves);
      if (++at === batches) break;
    }
  }
}

/** A frozen model's errors with given draws: what `rankPairs` takes for a reference when the model itself is gone. */
export async function rankingErrors<P>(options: RankingDraws<P> & { readonly reference: P }): Promise<ErrorsOf> {
  const { task, reference, source, batch, draws } = options;
  const { batchSize, batches } = sizesOf(source, batch);
  const values = new Float32Array(draws * batches * 2 * batchSize);
  await eachBatch(options, async (inputs, drawn, { index }) => {
    values.set(await readErrors(referenceErrors(task, reference, inputs, drawn)), index * 2 * batchSize);
  });
  return storedErrors(values, batchSize);
}

const isErrors = <P>(reference: P | ErrorsOf): reference is ErrorsOf => typeof reference === 'function';

/**
 * Ranks every pair of a source, each with `draws` draws of noise and time step (the paper takes 10). Which they are depends on
 * the key and the batch size alone, so that two models are judged by the same.
 */
export async function rankPairs<P>(options: RankPairsOptions<P>): Promise<PairRanking> {
  const { task, params, reference, source, batch, draws } = options;
  const { count } = source;
  const { batchSize } = sizesOf(source, batch);
  const columns = reportRows.slice(reportRows.indexOf('winnerChange'));
  const sums = Object.fromEntries(columns.map((name) => [name, new Float64Array(count)])) as Record<
    (typeof reportRows)[number],
    Float64Array
  >;
  // A pair that stands in for one that cannot be read has a place of its own.
  const leftOut = new Set<number>();
  await eachBatch(options, async (inputs, drawn, { index, first, standIns }) => {
    for (const i of standIns) leftOut.add(first + i);
    const [model, errors] = isErrors(reference) ? [undefined, reference(index)] : [reference, undefined];
    const { pairs } = preferenceLoss(task, params, model, { ...inputs, referenceErrors: errors }, drawn);
    const values = await read(pairs);
    dispose(errors);
    for (const name of columns) {
      const row = reportRows.indexOf(name) * batchSize;
      for (let i = 0; i < Math.min(batchSize, count - first); i++)
        sums[name][first + i] = (sums[name][first + i] as number) + (values[row + i] as number);
    }
  });
  // Divided once, so that what is right in every draw is exactly 1.
  const ranked = (name: (typeof reportRows)[number]) =>
    sums[name].map((sum) => sum / draws).filter((_, i) => !leftOut.has(i));
  return {
    correct: ranked('correct'),
    margin: ranked('margin'),
    winnerChange: ranked('winnerChange'),
    loserChange: ranked('loserChange'),
  };
}
