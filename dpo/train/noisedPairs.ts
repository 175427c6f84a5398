import {
  addNoise,
  type BatchTimesteps,
  modelTimesteps,
  type NoiseSchedule,
  type PredictionType,
  predictionTarget,
} from '../../diffusion/index.ts';
import { concat, split, Tensor } from '../../tensor/index.ts';
import type { PairOutput } from '../objectives/index.ts';

/** Pairs of images, or of their latents: [pairs, channels, height, width] each. */
export interface Pairs {
  /** The preferred images. */
  readonly winner: Tensor;
  readonly loser: Tensor;
}

/**
 * Noisy pairs as a network takes them, all winners before all losers. Both sides of a pair have the same noise and time
 * step.
 */
export interface NoisedPairs {
  /** [2·pairs, …] */
  readonly noisy: Tensor;
  /** What the network is to predict: [2·pairs, …] */
  readonly target: Tensor;
  /** The time steps as the network takes them: [2·pairs] */
  readonly modelTimesteps: BatchTimesteps;
}

/** Repeats a value of each pair for both its sides: [pairs, …] → [2·pairs, …]. */
export const forBothSides = (x: Tensor): Tensor => concat([x, x], 0);

/**
 * Adds noise [pairs, …] at time steps [pairs] to both sides of pairs (Ho et al. 2020, equation 4; a straight line for
 * flows).
 */
export function noisePairs(
  schedule: NoiseSchedule,
  prediction: PredictionType,
  { winner, loser }: Pairs,
  noise: Tensor,
  timesteps: BatchTimesteps,
): NoisedPairs {
  const images = concat([winner, loser], 0);
  const both = forBothSides(noise);
  const twice = timesteps instanceof Tensor ? forBothSides(timesteps) : [...timesteps, ...timesteps];
  return {
    noisy: addNoise(schedule, images, both, twice),
    target: predictionTarget(prediction, schedule, images, both, twice),
    modelTimesteps: modelTimesteps(schedule, twice),
  };
}

const sides = (x: Tensor): readonly [Tensor, Tensor] => split(x, 2, 0) as [Tensor, Tensor];

/** MSE_ref of both sides: [pairs] each. */
export interface ReferenceErrors {
  readonly winner: Tensor;
  readonly loser: Tensor;
}

/**
 * Splits predictions for noisy pairs into the two sides, as objectives take them.
 * @param target [2·pairs, …]
 * @param prediction the policy's: [2·pairs, …]
 * @param reference the reference's predictions, [2·pairs, …], or its errors
 */
export function pairOutput(target: Tensor, prediction: Tensor, reference?: Tensor | ReferenceErrors): PairOutput {
  const [targets, predictions] = [sides(target), sides(prediction)];
  const references = reference instanceof Tensor ? sides(reference) : undefined;
  const errors = reference instanceof Tensor ? undefined : reference;
  return {
    winner: {
      target: targets[0],
      prediction: predictions[0],
      reference: references?.[0],
      referenceError: errors?.winner,
    },
    loser: {
      target: targets[1],
      prediction: predictions[1],
      reference: references?.[1],
      referenceError: errors?.loser,
    },
  };
}
