import { TensorError } from '../../tensor/index.ts';
import { boolean, ignored, integer, number, oneOf } from '../config.ts';
import { flowSchedule, shifted } from '../noise/flow.ts';
import { toOriginal } from '../noise/prediction.ts';
import { isNoiseSchedule, type NoiseSchedule } from '../noise/schedule.ts';
import { readSettings, type SettingsOptions } from './settings.ts';
import { checkSteps, evenly } from './timesteps.ts';
import { needNoise, type Sampler } from './trajectory.ts';

export const flowMatchEulerClass = 'FlowMatchEulerDiscreteScheduler';

export const flowMatchEulerFields = {
  num_train_timesteps: integer(1000),
  shift: number(1),
  stochastic_sampling: boolean(false),
  // Shifts by the size of images need to be told that at every call.
  use_dynamic_shifting: oneOf(false),
  base_shift: ignored,
  max_shift: ignored,
  base_image_seq_len: ignored,
  max_image_seq_len: ignored,
  time_shift_type: ignored,
  invert_sigmas: oneOf(false),
  shift_terminal: oneOf(null),
  use_karras_sigmas: oneOf(false),
  use_exponential_sigmas: oneOf(false),
  use_beta_sigmas: oneOf(false),
} as const;

/** The settings of a sampler, and the schedule: of the configuration, or the given one. */
function flowSettings(source: unknown, own: Readonly<Record<string, unknown>> = {}) {
  if (!isNoiseSchedule(source)) {
    const isObject = typeof source === 'object' && source !== null && !Array.isArray(source);
    const settings = readSettings(flowMatchEulerClass, isObject ? { ...source, ...own } : source, flowMatchEulerFields);
    const { num_train_timesteps: numTrainTimesteps, shift } = settings;
    return { settings, schedule: flowSchedule({ numTrainTimesteps, shift }) };
  }
  if (source.modelTimesteps === undefined)
    throw new TensorError(`${flowMatchEulerClass}: needs the schedule of a flow (flowSchedule), and this is none`);
  const given = ['num_train_timesteps', 'shift'].filter((name) => Object.hasOwn(own, name));
  if (given.length > 0)
    throw new TensorError(
      `${flowMatchEulerClass}: the schedule is given, so the settings must not have ${given.join(', ')}`,
    );
  const { numTrainTimesteps: num_train_timesteps, shift = 1 } = source;
  const settings = readSettings(flowMatchEulerClass, { num_train_timesteps, shift, ...own }, flowMatchEulerFields);
  return { settings, schedule: source };
}

/** The schedule of a configuration: which images a network was trained on. */
export const flowScheduleFromConfig = (json: unknown): NoiseSchedule => flowSettings(json).schedule;

/**
 * Euler's method on dx/dσ = v, the velocity of a flow (diffusers' FlowMatchEulerDiscreteScheduler), from its configuration or
 * a flow's schedule. As there, the noise of steps lies evenly between the first and last σ of the schedule, which are
 * shifted, and is then shifted again. `stochastic_sampling` makes each step from the predicted image and fresh noise.
 */
export function flowMatchEuler(source: unknown = {}, { settings: own }: SettingsOptions = {}): Sampler {
  const { settings, schedule } = flowSettings(source, own);
  const { shift, stochastic_sampling: isStochastic, num_train_timesteps: numTrainTimesteps } = settings;
  const [least, most] = [schedule.noise[0] as number, schedule.noise.at(-1) as number];

  return (steps) => {
    checkSteps('flowMatchEuler', steps, numTrainTimesteps);
    const sigmas = [...evenly(most, least, steps).map((sigma) => shifted(sigma, shift)), 0];
    return {
      timesteps: sigmas.slice(0, -1).map((sigma) => sigma * numTrainTimesteps),
      sigmas,
      initNoiseSigma: 1,
      noiseScalesAt: (index) => ({ signal: 1 - (sigmas[index] as number), noise: sigmas[index] as number }),
      drawsNoise: () => isStochastic,
      start: (noise) => ({ sample: noise, index: 0, history: [] }),
      modelInput: ({ sample }) => sample,
      step: ({ sample, index, history }, output, noise) => {
        const [sigma, next] = [sigmas[index] as number, sigmas[index + 1] as number];
        const original = toOriginal('flow_prediction', sample, output, { signal: 1 - sigma, noise: sigma });
        const moved = isStochastic
          ? original.mul(1 - next).add(needNoise('flowMatchEuler', noise).mul(next))
          : sample.add(output.mul(next - sigma));
        return { sample: moved, index: index + 1, history, original };
      },
    };
  };
}
