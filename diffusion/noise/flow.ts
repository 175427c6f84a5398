import { TensorError } from '../../tensor/index.ts';
import { betasOf, checkTrainTimesteps, type NoiseSchedule } from './schedule.ts';

/** Options of `flowSchedule`. */
export interface FlowScheduleOptions {
  /** T; default 1000. */
  readonly numTrainTimesteps?: number;
  /** How much of the way is spent at the noisy end; default 1. */
  readonly shift?: number;
}

/** σ with more of the way spent at the noisy end (Esser et al. 2024, equation 23). */
export const shifted = (sigma: number, shift: number): number => (shift * sigma) / (1 + (shift - 1) * sigma);

/**
 * Straight lines from images to noise, x_t = (1 − σ_t)·x_0 + σ_t·ε (Liu et al. 2022, "Flow straight and fast"), with
 * σ_t = (t + 1)/T, shifted, for t = 0 … T − 1. Networks are told T·σ_t, and predict the velocity ε − x_0.
 */
export function flowSchedule({ numTrainTimesteps = 1000, shift = 1 }: FlowScheduleOptions = {}): NoiseSchedule {
  checkTrainTimesteps('flowSchedule', numTrainTimesteps);
  if (!(shift > 0 && Number.isFinite(shift)))
    throw new TensorError(`flowSchedule: shift must be a positive number, got ${shift}`);
  const noise = Float64Array.from({ length: numTrainTimesteps }, (_, t) => shifted((t + 1) / numTrainTimesteps, shift));
  const signal = noise.map((sigma) => 1 - sigma);
  const alphasCumprod = noise.map((sigma, t) => {
    const a = signal[t] as number;
    return a ** 2 / (a ** 2 + sigma ** 2);
  });
  return {
    numTrainTimesteps,
    betas: betasOf(alphasCumprod),
    alphasCumprod,
    signal,
    noise,
    modelTimesteps: noise.map((sigma) => sigma * numTrainTimesteps),
    shift,
  };
}
