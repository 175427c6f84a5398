import { split, type Tensor, TensorError } from '../../tensor/index.ts';
import { oneOf } from '../config.ts';
import { noiseScalesOf, toOriginal } from '../noise/prediction.ts';
import { alphaBarAt } from '../noise/schedule.ts';
import { clipOriginal, clippingOf } from './clipping.ts';
import { clippingFields, commonFields, type SettingsOptions, samplerSettings, spacing } from './settings.ts';
import { sigmaOf } from './sigmas.ts';
import { checkNoise, spacedTimesteps } from './timesteps.ts';
import { needNoise, type Sampler } from './trajectory.ts';

export const ddpmFields = {
  ...commonFields,
  ...clippingFields,
  timestep_spacing: spacing('leading'),
  // Under the name "fixed_large_log", diffusers takes the root of a logarithm, which is not a number.
  // Of other schedulers comes null, which is the smaller variance too.
  variance_type: oneOf('fixed_small', 'fixed_small_log', 'fixed_large', 'learned', 'learned_range', null),
} as const;

/** Options of `ddpm`. */
export interface DdpmOptions extends SettingsOptions {
  /**
   * Where a step leads to: to the next time step of the trajectory (the default), or down by ⌊T/steps⌋, as in diffusers up to
   * 0.27. They differ where time steps are not multiples of ⌊T/steps⌋: spaced by `linspace` or `trailing`.
   */
  readonly stepTo?: 'next' | 'stride';
}

/** Variances are at least this, as in diffusers, so that they have a logarithm. */
const leastVariance = 1e-20;

/**
 * Ancestral sampling (Ho et al. 2020, algorithm 2; diffusers' DDPMScheduler): the mean of q(x_{t−1} | x_t, x_0) with the
 * predicted x_0, and noise; from its configuration or a noise schedule. Where the variance is learned, the network gives it as further
 * channels.
 */
export function ddpm(source: unknown = {}, { stepTo = 'next', settings: own }: DdpmOptions = {}): Sampler {
  const { settings, schedule } = samplerSettings('DDPMScheduler', source, ddpmFields, own);
  const { numTrainTimesteps } = schedule;
  const { prediction_type: prediction, variance_type: varianceType } = settings;
  const learned = varianceType === 'learned' || varianceType === 'learned_range';

  return (steps) => {
    const timesteps = spacedTimesteps({
      sampler: 'ddpm',
      numTrainTimesteps,
      steps,
      spacing: settings.timestep_spacing,
      offset: settings.steps_offset,
    });
    const bars = timesteps.map((t) => alphaBarAt(schedule, t));
    checkNoise('ddpm', timesteps, bars.map(sigmaOf));
    const stride = Math.floor(numTrainTimesteps / steps);
    const at = (index: number) => {
      const t = timesteps[index] as number;
      const bar = bars[index] as number;
      const to = stepTo === 'stride' ? t - stride : (timesteps[index + 1] ?? -1);
      const before = to >= 0 ? alphaBarAt(schedule, to) : 1;
      // Of the signal that is left before the step, the share that goes on is bar/before: none where none is left.
      const share = bar === 0 ? 0 : bar / before;
      const beta = 1 - share;
      return { t, bar, before, share, beta, variance: Math.max(((1 - before) / (1 - bar)) * beta, leastVariance) };
    };
    /** The standard deviation of the noise that a step adds. */
    const deviation = (index: number, said: Tensor | undefined): Tensor | number => {
      const { beta, variance } = at(index);
      switch (varianceType) {
        case null:
        case 'fixed_small':
        case 'fixed_small_log':
          return Math.sqrt(variance);
        case 'fixed_large':
          return Math.sqrt(beta);
        case 'learned':
          return (said as Tensor).clamp({ min: leastVariance }).sqrt();
        case 'learned_range': {
          // Between the logarithms of both: Nichol & Dhariwal 2021, equation 15.
          const [low, high] = [Math.log(variance), Math.log(Math.max(beta, leastVariance))];
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
      clipping: clippingOf(settings),
      initNoiseSigma: 1,
      noiseScalesAt: (index) => noiseScalesOf(bars[index] as number),
      drawsNoise: (index) => at(index).t > 0,
      start: (noise) => ({ sample: noise, index: 0, history: [] }),
      modelInput: ({ sample }) => sample,
      step: ({ sample, index, history }, modelOutput, noise) => {
        const [output, said] = learned ? splitVariance(modelOutput, sample) : [modelOutput, undefined];
        const { t, bar, before, share, beta } = at(index);
        const scales = noiseScalesOf(bar);
        const original = clipOriginal(toOriginal(prediction, sample, output, scales), settings);
        // Equation 7 of the paper.
        const mean = original
          .mul((Math.sqrt(before) * beta) / (1 - bar))
          .add(sample.mul((Math.sqrt(share) * (1 - before)) / (1 - bar)));
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
