import type { Tensor } from '../../tensor/index.ts';
import { TensorError } from '../../tensor/index.ts';
import { type Image, imageOf } from '../data/image.ts';
import { counted } from '../messages.ts';
import { bootstrapMean } from './bootstrap.ts';
import type { Figure } from './figure.ts';
import { meanShare } from './proportions.ts';

/** A score of images, used instead of the judge of kinds' probability of the preferred kind. */
export interface Reward {
  /** The name in the report and in errors. */
  readonly name: string;
  /** The file that the reward was loaded from; named in errors. */
  readonly file?: string;
  /** Gives one finite number for each image and its caption; higher is better. */
  score(images: readonly Image[], captions: readonly string[]): ArrayLike<number> | Promise<ArrayLike<number>>;
}

interface RewardedSamples {
  readonly values: Float32Array;
  readonly captions: readonly string[];
  /** [height, width] */
  readonly size: readonly [number, number];
}

/**
 * Scores samples [N, 3, height, width], from −1 to 1, with one caption each.
 * @throws TensorError with the reward's name if `score` throws, rejects, or does not give one finite number for each image
 */
export async function rewardsOf(reward: Reward, { values, captions, size }: RewardedSamples): Promise<Float64Array> {
  const refuse = (problem: string, cause?: unknown): never => {
    const file = reward.file === undefined ? '' : ` (${reward.file})`;
    throw new TensorError(`reward ${reward.name}${file}: ${problem}`, { cause });
  };
  const images = captions.map((_, i) => imageOf(values, i, size));
  // A copy, since a user's function may modify it.
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

/** Turns errors and results of `score`, synchronous or not, into a promise. */
const ask = async (reward: Reward, images: readonly Image[], captions: readonly string[]): Promise<unknown> =>
  reward.score(images, captions);

/** Accepts arrays, typed arrays and array-like objects, but not strings, which have a length too. */
const isList = (value: unknown): value is ArrayLike<unknown> =>
  typeof value === 'object' && value !== null && 'length' in value && Number.isInteger(value.length);

/** Describes a value or error of a user's function in a few words. */
function described(value: unknown): string {
  if (value instanceof Error) return value.message || value.name;
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

/**
 * Scores one image, then two images, so that a faulty reward fails before hours of work.
 * @throws TensorError as `rewardsOf`
 */
export async function checkReward(reward: Reward, { values, captions, size }: RewardedSamples): Promise<void> {
  for (const count of [1, 2]) await rewardsOf(reward, { values, captions: captions.slice(0, count), size });
}

/** The mean of rewards, with Wilson's interval if all are 0 or 1, else with the bootstrap interval. */
export const meanReward = async (rewards: Float64Array, key: Tensor): Promise<Figure> =>
  rewards.every((reward) => reward === 0 || reward === 1) ? meanShare(rewards) : bootstrapMean(rewards, { key });
