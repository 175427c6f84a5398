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

/** How a model ranks pairs, one entry for each pair that can be read. */
export interface PairRanking {
  /** Share of draws in which u > 0; u = 0 counts half. */
  readonly correct: Float64Array;
  /** u, averaged over draws. */
  readonly margin: Float64Array;
  /** d_w and d_l, averaged over draws. */
  readonly winnerChange: Float64Array;
  readonly loserChange: Float64Array;
}

/** The pairs to rank, and the noise and time steps to rank them with. */
export interface RankingDraws<P> {
  readonly task: PreferenceTask<P>;
  readonly source: PairSource;
  readonly conditioning: PairConditioning;
  readonly batch: Omit<PairBatchOptions, 'from' | 'captionDropout' | 'flip' | 'crop'>;
  /** How many times noise and time step are drawn for each pair. */
  readonly draws: number;
  readonly key: Tensor;
  /** Called once for each row that is left out, as it cannot be read. */
  readonly onSkipped?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RankPairsOptions<P> extends RankingDraws<P> {
  readonly params: P;
  /** The frozen model, or its errors in each batch of the same draws: `rankingErrors`. */
  readonly reference: P | ErrorsOf;
}

/** Pairs in a batch, and batches in one draw of all pairs. */
function sizesOf({ count }: PairSource, batch: { readonly batchSize: number }) {
  const batchSize = Math.min(batch.batchSize, count);
  return { batchSize, batches: Math.ceil(count / batchSize) };
}

/** Calls `visit` for every batch of every draw, in order, with the key that the batch's noise is drawn with. */
async function eachBatch<P>(
  { source, conditioning, batch, draws, key, onSkipped, signal }: RankingDraws<P>,
  visit: (
    inputs: PreferenceBatch,
    drawKey: Tensor,
    at: { readonly index: number; readonly first: number; readonly standIns: readonly number[] },
  ) => Promise<void>,
): Promise<void> {
  const { batchSize, batches } = sizesOf(source, batch);
  const reported = new Set<string>();
  for (let d = 0; d < draws; d++) {
    // The stream fills its last batch from the next epoch; `rankPairs` leaves those pairs out.
    const stream = pairBatches(source, { ...batch, batchSize, crop: 'center', flip: false, captionDropout: 0 });
    let at = 0;
    for await (const host of stream) {
      signal?.throwIfAborted();
      for (const message of host.skipped) if (!reported.has(message)) onSkipped?.(message);
      for (const message of host.skipped) reported.add(message);
      const { batch: inputs, leaves } = pairTensors(conditioning, host);
      const drawKey = random.foldIn(random.foldIn(key, d), at);
      await visit(inputs, drawKey, { index: d * batches + at, first: at * batchSize, standIns: host.standIns });
      dispose(leaves);
      if (++at === batches) break;
    }
  }
}

/** A frozen model's errors with given draws: the reference of `rankPairs` where the model itself is not kept. */
export async function rankingErrors<P>(options: RankingDraws<P> & { readonly reference: P }): Promise<ErrorsOf> {
  const { task, reference, source, batch, draws } = options;
  const { batchSize, batches } = sizesOf(source, batch);
  const values = new Float32Array(draws * batches * 2 * batchSize);
  await eachBatch(options, async (inputs, drawKey, { index }) => {
    values.set(await readErrors(referenceErrors(task, reference, inputs, drawKey)), index * 2 * batchSize);
  });
  return storedErrors(values, batchSize);
}

const isErrors = <P>(reference: P | ErrorsOf): reference is ErrorsOf => typeof reference === 'function';

/**
 * Ranks every pair of a source by its implicit reward margin u, averaged over `draws` draws of noise and time step (the paper
 * takes 10). The draws depend only on the key and the batch size, so two models are compared with the same ones.
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
  // A pair that stands in for one that cannot be read is ranked at its own place.
  const leftOut = new Set<number>();
  await eachBatch(options, async (inputs, drawKey, { index, first, standIns }) => {
    for (const i of standIns) leftOut.add(first + i);
    const [model, errors] = isErrors(reference) ? [undefined, reference(index)] : [reference, undefined];
    const { pairs } = preferenceLoss(task, params, model, { ...inputs, referenceErrors: errors }, drawKey);
    const values = await read(pairs);
    dispose(errors);
    for (const name of columns) {
      const row = reportRows.indexOf(name) * batchSize;
      for (let i = 0; i < Math.min(batchSize, count - first); i++)
        sums[name][first + i] = (sums[name][first + i] as number) + (values[row + i] as number);
    }
  });
  // Divided once, at the end, so that a pair that every draw ranks correctly gets exactly 1.
  const ranked = (name: (typeof reportRows)[number]) =>
    sums[name].map((sum) => sum / draws).filter((_, i) => !leftOut.has(i));
  return {
    correct: ranked('correct'),
    margin: ranked('margin'),
    winnerChange: ranked('winnerChange'),
    loserChange: ranked('loserChange'),
  };
}
