import type { Tensor } from '../../tensor/index.ts';
import { TensorError } from '../../tensor/index.ts';
import { type Image, imageOf } from '../data/image.ts';
import { counted } from '../messages.ts';
import { bootstrapMean } from './bootstrap.ts';
import type { Figure } from './figure.ts';
import { meanShare } from './proportions.ts';

/** What images are compared by, instead of how probable a judge finds it that they are of the preferred kind. */
export interface Reward {
  /** What the report calls it. */
  readonly name: string;
  /** The file that it was loaded from, for errors. */
  readonly file?: string;
  /** A number for each image with its caption; more is better. */
  score(images: readonly Image[], captions: readonly string[]): ArrayLike<number> | Promise<ArrayLike<number>>;
}

interface RewardedSamples {
  readonly values: Float32Array;
  readonly captions: readonly string[];
  /** [height, width] */
  readonly size: readonly [number, number];
}

/**
 * The rewards of samples, [N, 3, height, width] from −1 to 1 with a caption each.
 * @throws TensorError with the reward's name where it throws or rejects, or does not give one finite number for each
 */
export async function rewardsOf(reward: Reward, { values, captions, size }: RewardedSamples): Promise<Float64Array> {
  const refuse = (problem: string, cause?: unknown): never => {
    const file = reward.file === undefined ? '' : ` (${reward.file})`;
    throw new TensorError(`reward ${reward.name}${file}: ${problem}`, { cause });
  };
  const images = captions.map((_, i) => imageOf(values, i, size));
  // A copy, since what is not ours may write into it.
  const found: unknown = await ask(reward, images, [...captions]).catch((error: unknown) =>
    refuse(`score failed: ${described(error)}`, error),
  );
  if (!isList(found)) return refuse(`gave ${described(found)}, not a list of numbers, one for each image`);
  if (found.length !== captions.length)
    return refuse(`gave ${counted(found.length, 'number')} for ${counted(captions.length, 'image')}`);
  const numbers = Array.from(found);
  const bad = numbers.findIndex((one) => !Number.isFinite(one));
  if (bad >= 0)
    return refuse(
      `image ${bad}, ${JSON.stringify(captions[bad])}, was given ${described(numbers[bad])}, not a finite number`,
    );
  return Float64Array.from(numbers as number[]);
}

/** A promise whatever the function does. */
const ask = async (reward: Reward, images: readonly Image[], captions: readonly string[]): Promise<unknown> =>
  reward.score(images, captions);

/** Arrays, typed ones too, and what is like them; a text has a length as well, but is no list of numbers. */
const isList = (value: unknown): value is ArrayLike<unknown> =>
  typeof value === 'object' && value !== null && 'length' in value && Number.isInteger(value.length);

/** A value of code that is not ours, in a few words. */
function described(value: unknown): string {
  if (value instanceof Error) return value.message || value.name;
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

/**
 * Asks a reward for the numbers of one image, and then of two, so that what is wrong with it is known before hours of work.
 * @throws TensorError as `rewardsOf`
 */
export async function checkReward(reward: Reward, { values, captions, size }: RewardedSamples): Promise<void> {
  for (const count of [1, 2]) await rewardsOf(reward, { values, captions: captions.slice(0, count), size });
}

/** Mean of rewards with its interval: that of a share where all are 0 or 1, else the bootstrap's. */
export const meanReward = async (rewards: Float64Array, key: Tensor): Promise<Figure> =>
  rewards.every((reward) => reward === 0 || reward === 1) ? meanShare(rewards) : bootstrapMean(rewards, { key });
