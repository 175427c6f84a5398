import { type Tensor, TensorError } from '../../tensor/index.ts';
import { boolean, numberOrNull, oneOf } from '../config.ts';
import type { NoisePredictionType } from '../noise/schedule.ts';
import { commonFields, type SettingsOptions, samplerSettings, spacing } from './settings.ts';
import { exponentialSigmas, finiteSigmasOf, interpolate, spreadOf, timestepOf } from './sigmas.ts';
import { checkNoise, spacedTimesteps } from './timesteps.ts';
import { needNoise, type Sampler, type Trajectory } from './trajectory.ts';

export const eulerFields = {
  ...commonFields,
  timestep_spacing: spacing('linspace'),
  // Discrete time steps are all that the schedules here have.
  timestep_type: oneOf('discrete'),
  sigma_min: numberOrNull(null),
  sigma_max: numberOrNull(null),
  interpolation_type: oneOf('linear', 'log_linear'),
  use_karras_sigmas: boolean(false),
  use_exponential_sigmas: boolean(false),
  use_beta_sigmas: oneOf(false),
  final_sigmas_type: oneOf('zero', 'sigma_min'),
} as const;

export const eulerAncestralFields = {
  ...commonFields,
  timestep_spacing: spacing('linspace'),
  prediction_type: oneOf('epsilon', 'v_prediction'),
} as const;

/** Options of `euler`. */
export interface EulerOptions extends SettingsOptions {
  /** How much noise is added before steps (Karras et al. 2022, algorithm 2); default 0. */
  readonly churn?: number;
  /** Between which standard deviations noise is added; default everywhere. */
  readonly churnRange?: readonly [number, number];
  /** The standard deviation of that noise; default 1. */
  readonly churnNoise?: number;
}

/** x_0 as a prediction means it for x = x_0 + σ·ε, when the network was given x/√(σ² + 1). */
function originalAt(prediction: NoisePredictionType, x: Tensor, output: Tensor, sigma: number, hat = sigma): Tensor {
  switch (prediction) {
    case 'epsilon':
      return x.sub(output.mul(hat));
    case 'v_prediction':
      return output.mul(-sigma / Math.sqrt(sigma ** 2 + 1)).add(x.div(sigma ** 2 + 1));
    case 'sample':
      return output;
  }
}

/** What Euler samplers have in common: images x_0 + σ·ε, given to the network as x/√(σ² + 1). */
function sigmaTrajectory(
  timesteps: readonly number[],
  sigmas: readonly number[],
  scaledStart: boolean,
): Pick<Trajectory, 'timesteps' | 'sigmas' | 'initNoiseSigma' | 'noiseScalesAt' | 'start' | 'modelInput'> {
  const largest = Math.max(...sigmas);
  const initNoiseSigma = scaledStart ? Math.sqrt(largest ** 2 + 1) : largest;
  return {
    timesteps,
    sigmas,
    initNoiseSigma,
    noiseScalesAt: (index) => ({ signal: 1, noise: sigmas[index] as number }),
    start: (noise) => ({ sample: noise.mul(initNoiseSigma), index: 0, history: [] }),
    modelInput: ({ sample, index }) => sample.div(Math.sqrt((sigmas[index] as number) ** 2 + 1)),
  };
}

/**
 * Euler's method on dx/dσ = (x − x_0)/σ (Karras et al. 2022; diffusers' EulerDiscreteScheduler), from its configuration or a noise
 * schedule.
 */
export function euler(
  source: unknown = {},
  {
    churn = 0,
    churnRange: [from, to] = [0, Number.POSITIVE_INFINITY],
    churnNoise = 1,
    settings: own,
  }: EulerOptions = {},
): Sampler {
  if (!(churn >= 0)) throw new TensorError(`euler: churn must be a number of at least 0, got ${churn}`);
  const { settings, schedule } = samplerSettings('EulerDiscreteScheduler', source, eulerFields, own);
  const all = finiteSigmasOf(schedule);
  const [smallest, greatest] = [all[0] as number, all.at(-1) as number];
  const { numTrainTimesteps } = schedule;
  const { prediction_type: prediction, timestep_spacing: spread } = settings;
  const otherSpread = spreadOf('euler', settings);

  return (steps) => {
    let timesteps = spacedTimesteps({
      sampler: 'euler',
      numTrainTimesteps,
      steps,
      spacing: spread,
      offset: settings.steps_offset,
      whole: false,
    });
    // Those of `log_linear` are one more than there are steps, so sampling ends at the smallest.
    let inner =
      settings.interpolation_type === 'linear'
        ? timesteps.map((t) => interpolate(all, t))
        : exponentialSigmas(smallest, greatest, steps + 1);
    if (otherSpread !== undefined) {
      inner = otherSpread(inner.at(-1) as number, inner[0] as number, steps);
      timesteps = inner.map((sigma) => timestepOf(sigma, all));
    }
    const sigmas = [...inner, settings.final_sigmas_type === 'zero' ? 0 : smallest].slice(0, steps + 1);
    checkNoise('euler', timesteps, sigmas);
    const gammaAt = (sigma: number) => (sigma >= from && sigma <= to ? Math.min(churn / steps, Math.SQRT2 - 1) : 0);
    return {
      ...sigmaTrajectory(timesteps, sigmas, spread === 'leading'),
      drawsNoise: (index) => gammaAt(sigmas[index] as number) > 0,
      step: ({ sample, index, history }, output, noise) => {
        const [sigma, next] = [sigmas[index] as number, sigmas[index + 1] as number];
        const gamma = gammaAt(sigma);
        const hat = sigma * (1 + gamma);
        const x =
          gamma > 0 ? sample.add(needNoise('euler', noise).mul(churnNoise * Math.sqrt(hat ** 2 - sigma ** 2))) : sample;
        const original = originalAt(prediction, x, output, sigma, hat);
        const slope = x.sub(original).div(hat);
        return { sample: x.add(slope.mul(next - hat)), index: index + 1, history, original };
      },
    };
  };
}

/**
 * Euler's method to less noise than wanted, and noise up to it (k-diffusion; diffusers' EulerAncestralDiscreteScheduler), from its
 * configuration or a noise schedule.
 */
export function eulerAncestral(source: unknown = {}, { settings: own }: SettingsOptions = {}): Sampler {
  const { settings, schedule } = samplerSettings('EulerAncestralDiscreteScheduler', source, eulerAncestralFields, own);
  const all = finiteSigmasOf(schedule);
  const { numTrainTimesteps } = schedule;
  const { prediction_type: prediction, timestep_spacing: spread } = settings;

  return (steps) => {
    const timesteps = spacedTimesteps({
      sampler: 'eulerAncestral',
      numTrainTimesteps,
      steps,
      spacing: spread,
      offset: settings.steps_offset,
      whole: false,
    });
    const sigmas = [...timesteps.map((t) => interpolate(all, t)), 0];
    checkNoise('eulerAncestral', timesteps, sigmas);
    return {
      ...sigmaTrajectory(timesteps, sigmas, spread === 'leading'),
      drawsNoise: () => true,
      step: ({ sample, index, history }, output, noise) => {
        const [sigma, next] = [sigmas[index] as number, sigmas[index + 1] as number];
        const original = originalAt(prediction, sample, output, sigma);
        // up² + down² = next². After a first σ that stands for infinity, the next may be larger: then there is no way up.
        const share = Math.min(next / sigma, 1);
        const [down, up] = [next * share, next * Math.sqrt(1 - share ** 2)];
        const slope = sample.sub(original).div(sigma);
        const moved = sample.add(slope.mul(down - sigma)).add(needNoise('eulerAncestral', noise).mul(up));
        return { sample: moved, index: index + 1, history, original };
      },
    };
  };
}
