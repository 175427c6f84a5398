import { type ClipTokenizer, type TextToImage, type TextToImageParams, tokenIds } from '../../diffusion/index.ts';
import { tensor } from '../../tensor/index.ts';
import type { DataPosition } from '../data/order.ts';
import { type PairBatch, type PairBatchOptions, pairBatches } from '../data/pairBatches.ts';
import type { PairSource } from '../data/sources.ts';
import { conditioningOfPairs, type PreferenceBatch } from './preferenceStep.ts';

/** What pairs are conditioned with. */
export interface PairConditioning {
  readonly model: TextToImage;
  /** Whose text encoder is asked; it is frozen. */
  readonly params: TextToImageParams;
  readonly tokenizer: ClipTokenizer;
  /** The sizes that a model is told, if it takes any: the same for all, or those of each image. */
  readonly timeIds: 'constant' | 'true';
}

/** A batch of pairs as tensors, lazy; `leaves` are those that hold the images, to be given up after use. */
export function pairTensors(
  { model, params, tokenizer, timeIds }: PairConditioning,
  batch: PairBatch,
): { readonly batch: PreferenceBatch; readonly leaves: unknown } {
  const { shape, captions } = batch;
  const [, , height, width] = shape;
  const sizes =
    timeIds === 'constant'
      ? new Array<readonly number[]>(2 * captions.length).fill([height, width, 0, 0, height, width])
      : [...batch.winnerTimeIds, ...batch.loserTimeIds];
  const leaves = { winner: tensor(batch.winner), loser: tensor(batch.loser) };
  return {
    batch: {
      winner: leaves.winner.reshape(shape),
      loser: leaves.loser.reshape(shape),
      conditioning: conditioningOfPairs(model.condition(params, tokenIds(tokenizer, captions), [height, width]), sizes),
    },
    leaves,
  };
}

/** A micro-batch of a run, on the device. */
export interface TrainingBatch extends Pick<PairBatch, 'next' | 'skipped'> {
  readonly batch: PreferenceBatch;
  /** What holds the images, to be given up after use. */
  readonly leaves: unknown;
}

/** The micro-batches that a run takes from a position on, without end. */
export type TrainingBatches = (from?: DataPosition) => AsyncGenerator<TrainingBatch>;

/** Micro-batches of a source of pairs. */
export const trainingBatches = (
  pairs: PairSource,
  options: PairBatchOptions,
  conditioning: PairConditioning,
): TrainingBatches =>
  async function* (from) {
    for await (const host of pairBatches(pairs, { ...options, ...(from === undefined ? {} : { from }) }))
      yield { ...pairTensors(conditioning, host), next: host.next, skipped: host.skipped };
  };
