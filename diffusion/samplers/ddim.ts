import { boolean } from '../config.ts';
import { mixtureOf, toNoise, toOriginal } from '../noise/prediction.ts';
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
  set_alpha_to_one: boolean(true),
} as const;

export interface DdimOptions {
  /** 0 (the default) adds no noise; 1 adds as much as ancestral sampling. */
  readonly eta?: number;
  /** Whether the noise that is predicted follows from the picture after clipping; default false. */
  readonly useClippedModelOutput?: boolean;
}

/** Song et al. 2021, equation 12 (diffusers' DDIMScheduler). */
export function ddim(json: unknown = {}, { eta = 0, useClippedModelOutput = false }: DdimOptions = {}): Sampler {
  const settings = readSettings('DDIMScheduler', json, fields);
  const schedule = scheduleOf(settings);
  const { numTrainTimesteps } = schedule;
  const prediction = settings.prediction_type;
  const last = settings.set_alpha_to_one ? 1 : alphaBarAt(schedule, 0);

  return (steps) => {
    checkSteps('ddim', steps, numTrainTimesteps);
    const timesteps = spacedTimesteps({
      numTrainTimesteps,
      steps,
      spacing: settings.timestep_spacing,
      offset: settings.steps_offset,
    });
    const stride = Math.floor(numTrainTimesteps / steps);
    return {
      timesteps,
      initNoiseSigma: 1,
      mixtureAt: (index) => mixtureOf(alphaBarAt(schedule, timesteps[index] as number)),
      drawsNoise: () => eta > 0,
      start: (noise) => ({ sample: noise, index: 0, history: [] }),
      modelInput: ({ sample }) => sample,
      step: ({ sample, index, history }, output, noise) => {
        const t = timesteps[index] as number;
        const bar = alphaBarAt(schedule, t);
        const before = t - stride >= 0 ? alphaBarAt(schedule, t - stride) : last;
        const mixture = mixtureOf(bar);
        const original = clipOriginal(toOriginal(prediction, sample, output, mixture), settings);
        const epsilon = useClippedModelOutput
          ? toNoise('sample', sample, original, mixture)
          : toNoise(prediction, sample, output, mixture);
        const deviation = eta * Math.sqrt(((1 - before) / (1 - bar)) * (1 - bar / before));
        const direction = epsilon.mul(Math.sqrt(1 - before - deviation ** 2));
        const mean = original.mul(Math.sqrt(before)).add(direction);
        const next = eta > 0 ? mean.add(needNoise('ddim', noise).mul(deviation)) : mean;
        return { sample: next, index: index + 1, history, original };
      },
    };
  };
}
