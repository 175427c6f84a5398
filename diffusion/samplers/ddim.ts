import { TensorError } from '../../tensor/index.ts';
import { boolean } from '../config.ts';
import { noiseScalesOf, toNoise, toOriginal } from '../noise/prediction.ts';
import { alphaBarAt } from '../noise/schedule.ts';
import { clipOriginal, clippingOf } from './clipping.ts';
import { clippingFields, commonFields, type SettingsOptions, samplerSettings, spacing } from './settings.ts';
import { sigmaOf } from './sigmas.ts';
import { checkNoise, spacedTimesteps } from './timesteps.ts';
import { needNoise, type Sampler } from './trajectory.ts';

export const ddimFields = {
  ...commonFields,
  ...clippingFields,
  timestep_spacing: spacing('leading'),
  set_alpha_to_one: boolean(true),
} as const;

/** Options of `ddim`. */
export interface DdimOptions extends SettingsOptions {
  /** From 0 (the default), which adds no noise, to 1, which adds as much as ancestral sampling. */
  readonly eta?: number;
  /** Whether the noise that is predicted follows from the image after clipping; default false. */
  readonly useClippedModelOutput?: boolean;
}

/**
 * Song et al. 2021, equation 12 (diffusers' DDIMScheduler), from its configuration or a noise schedule. As there, each step
 * goes down by ⌊T/steps⌋, whatever the spacing of the time steps is.
 */
export function ddim(
  source: unknown = {},
  { eta = 0, useClippedModelOutput = false, settings: own }: DdimOptions = {},
): Sampler {
  if (!(eta >= 0 && eta <= 1)) throw new TensorError(`ddim: eta must be a number from 0 to 1, got ${eta}`);
  const { settings, schedule } = samplerSettings('DDIMScheduler', source, ddimFields, own);
  const { numTrainTimesteps } = schedule;
  const prediction = settings.prediction_type;
  const last = settings.set_alpha_to_one ? 1 : alphaBarAt(schedule, 0);

  return (steps) => {
    const timesteps = spacedTimesteps({
      sampler: 'ddim',
      numTrainTimesteps,
      steps,
      spacing: settings.timestep_spacing,
      offset: settings.steps_offset,
    });
    const bars = timesteps.map((t) => alphaBarAt(schedule, t));
    checkNoise('ddim', timesteps, bars.map(sigmaOf));
    const stride = Math.floor(numTrainTimesteps / steps);
    return {
      timesteps,
      clipping: clippingOf(settings),
      initNoiseSigma: 1,
      noiseScalesAt: (index) => noiseScalesOf(bars[index] as number),
      drawsNoise: () => eta > 0,
      start: (noise) => ({ sample: noise, index: 0, history: [] }),
      modelInput: ({ sample }) => sample,
      step: ({ sample, index, history }, output, noise) => {
        const t = timesteps[index] as number;
        const bar = bars[index] as number;
        const before = t - stride >= 0 ? alphaBarAt(schedule, t - stride) : last;
        const scales = noiseScalesOf(bar);
        const original = clipOriginal(toOriginal(prediction, sample, output, scales), settings);
        const epsilon = useClippedModelOutput
          ? toNoise('sample', sample, original, scales)
          : toNoise(prediction, sample, output, scales);
        // Of the signal that is left before the step, the share that goes on is bar/before: none where none is left.
        const share = bar === 0 ? 0 : bar / before;
        const deviation = eta * Math.sqrt(((1 - before) / (1 - bar)) * (1 - share));
        const direction = epsilon.mul(Math.sqrt(Math.max(1 - before - deviation ** 2, 0)));
        const mean = original.mul(Math.sqrt(before)).add(direction);
        const next = eta > 0 ? mean.add(needNoise('ddim', noise).mul(deviation)) : mean;
        return { sample: next, index: index + 1, history, original };
      },
    };
  };
}
