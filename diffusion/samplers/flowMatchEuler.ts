import { boolean, ignored, integer, number, oneOf, readConfig } from '../config.ts';
import { flowSchedule, shifted } from '../noise/flow.ts';
import { toOriginal } from '../noise/prediction.ts';
import type { NoiseSchedule } from '../noise/schedule.ts';
import { checkSteps } from './settings.ts';
import { needNoise, type Sampler } from './trajectory.ts';

export const flowMatchEulerClass = 'FlowMatchEulerDiscreteScheduler';

const fields = {
  num_train_timesteps: integer(1000),
  shift: number(1),
  stochastic_sampling: boolean(false),
  // Shifts by the size of pictures need to be told that at every call.
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

const settingsOf = (json: unknown) => readConfig(flowMatchEulerClass, json, fields);

/** The schedule of a configuration: which pictures a network was trained on. */
export function flowScheduleFromConfig(json: unknown): NoiseSchedule {
  const { num_train_timesteps: numTrainTimesteps, shift } = settingsOf(json);
  return flowSchedule({ numTrainTimesteps, shift });
}

/**
 * Euler's method on dx/dσ = v, the velocity of a flow (diffusers' FlowMatchEulerDiscreteScheduler). As there, the noise of
 * steps lies evenly between the first and last σ of the schedule, which are shifted, and is then shifted again.
 * `stochastic_sampling` makes each step from the predicted picture and fresh noise.
 */
export function flowMatchEuler(json: unknown = {}): Sampler {
  const { shift, stochastic_sampling: isStochastic, num_train_timesteps: numTrainTimesteps } = settingsOf(json);
  const all = flowSchedule({ numTrainTimesteps, shift }).noise;
  const [least, most] = [all[0] as number, all.at(-1) as number];

  return (steps) => {
    checkSteps('flowMatchEuler', steps, numTrainTimesteps);
    const even = Array.from({ length: steps }, (_, i) => most + (steps === 1 ? 0 : (i * (least - most)) / (steps - 1)));
    const sigmas = [...even.map((sigma) => shifted(sigma, shift)), 0];
    return {
      timesteps: sigmas.slice(0, -1).map((sigma) => sigma * numTrainTimesteps),
      sigmas,
      initNoiseSigma: 1,
      mixtureAt: (index) => ({ signal: 1 - (sigmas[index] as number), noise: sigmas[index] as number }),
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
