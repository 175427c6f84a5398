import { type ClipTokenizer, type TextToImage, type TextToImageParams, tokenIds } from '../../diffusion/index.ts';
import { tensor } from '../../tensor/index.ts';
import type { DataPosition } from '../data/order.ts';
import { type PairBatch, type PairBatchOptions, pairBatches } from '../data/pairBatches.ts';
import type { PairSource } from '../data/sources.ts';
import { conditioningOfPairs, type PreferenceBatch } from './preferenceStep.ts';

/** Makes a network's conditioning from captions and image sizes. */
export interface PairConditioning {
  readonly model: TextToImage;
  /** The frozen parameters, of which the text encoder is used. */
  readonly params: TextToImageParams;
  readonly tokenizer: ClipTokenizer;
  /**
   * SDXL's time ids (original size, crop, target size): `constant` gives all images those of an image that was neither
   * resized nor cropped, `true` those of each image.
   */
  readonly timeIds: 'constant' | 'true';
}

/** A batch of pairs as lazy tensors. `leaves` hold the images; the caller donates or disposes of them after use. */
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
  /** The tensors that hold the images; donated or disposed of after use. */
  readonly leaves: unknown;
}

/** The endless micro-batches of a run, from a position in the data on; by default from the beginning. */
export type TrainingBatches = (from?: DataPosition) => AsyncGenerator<TrainingBatch>;

/** The micro-batches of a source of pairs. */
export const trainingBatches = (
  pairs: PairSource,
  options: PairBatchOptions,
  conditioning: PairConditioning,
): TrainingBatches =>
  async function* (from) {
    for await (const host of pairBatches(pairs, { ...options, ...(from === undefined ? {} : { from }) }))
      yield { ...pairTensors(conditioning, host), next: host.next, skipped: host.skipped };
  };
