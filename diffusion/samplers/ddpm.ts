import { split, type Tensor, TensorError } from '../../tensor/index.ts';
import { oneOf } from '../config.ts';
import { mixtureOf, toOriginal } from '../noise/prediction.ts';
import { alphaBarAt } from '../noise/schedule.ts';
import { clipOriginal } from './clipping.ts';
import {
  checkSteps,
  clippingFields,
  commonFields,
  readSettings,
  scheduleOf,
  spacedTimesteps,
  spacing,
} from './settings.ts';
import { needNoise, type Sampler } from './trajectory.ts';

const fields = {
  ...commonFields,
  ...clippingFields,
  timestep_spacing: spacing('leading'),
  // Under the name "fixed_large_log", diffusers takes the root of a logarithm, which is not a number.
  variance_type: oneOf('fixed_small', 'fixed_small_log', 'fixed_large', 'learned', 'learned_range'),
} as const;

/**
 * Ancestral sampling (Ho et al. 2020, algorithm 2; diffusers' DDPMScheduler): the mean of q(x_{t−1} | x_t, x_0) with the
 * predicted x_0, and noise. Where the variance is learned, the network gives it as further channels.
 */
export function ddpm(json: unknown = {}): Sampler {
  const settings = readSettings('DDPMScheduler', json, fields);
  const schedule = scheduleOf(settings);
  const { numTrainTimesteps } = schedule;
  const { prediction_type: prediction, variance_type: varianceType } = settings;
  const learned = varianceType === 'learned' || varianceType === 'learned_range';

  return (steps) => {
    checkSteps('ddpm', steps, numTrainTimesteps);
    const timesteps = spacedTimesteps({
      numTrainTimesteps,
      steps,
      spacing: settings.timestep_spacing,
      offset: settings.steps_offset,
    });
    const stride = Math.floor(numTrainTimesteps / steps);
    const at = (index: number) => {
      const t = timesteps[index] as number;
      const bar = alphaBarAt(schedule, t);
      const before = t - stride >= 0 ? alphaBarAt(schedule, t - stride) : 1;
      const beta = 1 - bar / before;
      return { t, bar, before, beta, variance: Math.max(((1 - before) / (1 - bar)) * beta, 1e-20) };
    };
    /** The standard deviation of the noise that a step adds. */
    const deviation = (index: number, said: Tensor | undefined): Tensor | number => {
      const { beta, variance } = at(index);
      switch (varianceType) {
        case 'fixed_small':
        case 'fixed_small_log':
          return Math.sqrt(variance);
        case 'fixed_large':
          return Math.sqrt(beta);
        case 'learned':
          return (said as Tensor).sqrt();
        case 'learned_range': {
          // Between the logarithms of both: Nichol & Dhariwal 2021, equation 15.
          const [low, high] = [Math.log(variance), Math.log(beta)];
          return (said as Tensor)
            .add(1)
            .mul((high - low) / 2)
            .add(low)
            .mul(0.5)
            .exp();
        }
      }
    };
    return {
      timesteps,
      initNoiseSigma: 1,
      mixtureAt: (index) => mixtureOf(alphaBarAt(schedule, timesteps[index] as number)),
      drawsNoise: (index) => at(index).t > 0,
      start: (noise) => ({ sample: noise, index: 0, history: [] }),
      modelInput: ({ sample }) => sample,
      step: ({ sample, index, history }, modelOutput, noise) => {
        const [output, said] = learned ? splitVariance(modelOutput, sample) : [modelOutput, undefined];
        const { t, bar, before, beta } = at(index);
        const mixture = mixtureOf(bar);
        const original = clipOriginal(toOriginal(prediction, sample, output, mixture), settings);
        // Equation 7 of the paper.
        const mean = original
          .mul((Math.sqrt(before) * beta) / (1 - bar))
          .add(sample.mul((Math.sqrt(bar / before) * (1 - before)) / (1 - bar)));
        const next = t > 0 ? mean.add(needNoise('ddpm', noise).mul(deviation(index, said))) : mean;
        return { sample: next, index: index + 1, history, original };
      },
    };
  };
}

/** The prediction and what the network says about the variance. */
function splitVariance(output: Tensor, sample: Tensor): readonly [Tensor, Tensor] {
  if (output.shape[1] !== 2 * (sample.shape[1] as number))
    throw new TensorError(
      `ddpm: with a learned variance the network must give ${2 * (sample.shape[1] as number)} channels, got ${output.shape[1]}`,
    );
  return split(output, 2, 1) as [Tensor, Tensor];
}
