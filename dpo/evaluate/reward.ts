import { TensorError } from '../../tensor/index.ts';
import type { Picture } from '../data/picture.ts';
import { pictureOf } from '../data/pictureOf.ts';

/** What pictures are compared by, instead of how probable a judge finds it that they are of the preferred kind. */
export interface Reward {
  /** What the report calls it. */
  readonly name: string;
  /** A number for each picture with its caption; more is better. */
  score(pictures: readonly Picture[], captions: readonly string[]): ArrayLike<number> | Promise<ArrayLike<number>>;
}

/**
 * The rewards of samples, [N, 3, height, width] from −1 to 1 with a caption each.
 * @throws TensorError where there is not one finite number for each
 */
export async function rewardsOf(
  { name, score }: Reward,
  { values, captions, size }: RewardedSamples,
): Promise<Float64Array> {
  const rewards = await score(
    captions.map((_, i) => pictureOf(values, i, size)),
    captions,
  );
  const found = Float64Array.from(rewards);
  if (found.length !== captions.length)
    throw new TensorError(`reward ${name}: gave ${found.length} numbers for ${captions.length} pictures`);
  const bad = found.findIndex((one) => !Number.isFinite(one));
  if (bad >= 0)
    throw new TensorError(
      `reward ${name}: picture ${bad}, ${JSON.stringify(captions[bad])}, was given ${rewards[bad]}`,
    );
  return found;
}

interface RewardedSamples {
  readonly values: Float32Array;
  readonly captions: readonly string[];
  /** [height, width] */
  readonly size: readonly [number, number];
}
