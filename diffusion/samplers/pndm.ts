import { type Tensor, TensorError } from '../../tensor/index.ts';
import { boolean, oneOf } from '../config.ts';
import { noiseScalesOf, toNoise } from '../noise/prediction.ts';
import { alphaBarAt } from '../noise/schedule.ts';
import { commonFields, type SettingsOptions, samplerSettings, spacing } from './settings.ts';
import { sigmaOf } from './sigmas.ts';
import { checkNoise, spacedTimesteps } from './timesteps.ts';
import type { Sampler, SamplerState } from './trajectory.ts';

export const pndmFields = {
  ...commonFields,
  prediction_type: oneOf('epsilon', 'v_prediction'),
  // Its steps divide by ᾱ, which must not be 0.
  rescale_betas_zero_snr: oneOf(false),
  timestep_spacing: spacing('leading'),
  set_alpha_to_one: boolean(false),
  skip_prk_steps: boolean(false),
} as const;

/** Of the linear multistep method, for the latest prediction first. */
const multistep: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

const combination = (outputs: readonly Tensor[], weights: readonly number[]): Tensor =>
  outputs
    .slice(1)
    .reduce(
      (sum, output, i) => sum.add(output.mul(weights[i + 1] as number)),
      (outputs[0] as Tensor).mul(weights[0] as number),
    );

/**
 * Pseudo numerical methods for diffusion models (Liu et al. 2022; diffusers' PNDMScheduler): a linear multistep method
 * whose first steps are of the Runge–Kutta kind, or, with `skip_prk_steps`, whose first step is made twice. From its
 * configuration or a noise schedule.
 */
export function pndm(source: unknown = {}, { settings: own }: SettingsOptions = {}): Sampler {
  const { settings, schedule } = samplerSettings('PNDMScheduler', source, pndmFields, own);
  const { numTrainTimesteps } = schedule;
  const last = settings.set_alpha_to_one ? 1 : alphaBarAt(schedule, 0);
  const barAt = (t: number) => (t >= 0 ? alphaBarAt(schedule, t) : last);

  /** Equation 9 of the paper: from time step t to another, along a prediction. */
  const transfer = (sample: Tensor, t: number, to: number, output: Tensor): Tensor => {
    const [bar, before] = [barAt(t), barAt(to)];
    const epsilon = toNoise(settings.prediction_type, sample, output, noiseScalesOf(bar));
    const divisor = bar * Math.sqrt(1 - before) + Math.sqrt(bar * (1 - bar) * before);
    return sample.mul(Math.sqrt(before / bar)).sub(epsilon.mul((before - bar) / divisor));
  };

  return (steps) => {
    const spaced = spacedTimesteps({
      sampler: 'pndm',
      numTrainTimesteps,
      steps,
      spacing: settings.timestep_spacing,
      offset: settings.steps_offset,
    });
    const stride = Math.floor(numTrainTimesteps / steps);
    const half = Math.floor(stride / 2);
    if (!settings.skip_prk_steps && steps < 4)
      throw new TensorError(`pndm: the Runge–Kutta steps need 4 steps at least, got ${steps}; or set skip_prk_steps`);
    // Time steps of the Runge–Kutta steps: each at a time step, twice half a step before the next one, and at that.
    const prk = settings.skip_prk_steps
      ? []
      : spaced.slice(0, 3).flatMap((t, i) => {
          const next = spaced[i + 1] as number;
          return [t, next + half, next + half, next];
        });
    const plms = settings.skip_prk_steps ? [...spaced.slice(0, 2), ...spaced.slice(1)] : spaced.slice(3);
    const timesteps = [...prk, ...plms];
    const sigmas = timesteps.map((t) => sigmaOf(barAt(t)));
    checkNoise('pndm', timesteps, sigmas);
    const silent = sigmas.indexOf(Number.POSITIVE_INFINITY);
    if (silent >= 0)
      throw new TensorError(
        `pndm: at time step ${timesteps[silent]} nothing is left of the image (β is 1 there or before), where its steps divide by 0`,
      );

    const rungeKutta = ({ index, history, sample }: SamplerState, output: Tensor): SamplerState => {
      const stage = index % 4;
      // What is remembered: the predictions of whole steps, then the sum of this step's and where it began.
      const past = stage === 0 ? history : history.slice(0, -2);
      const sum = stage === 0 ? undefined : history.at(-2);
      const origin = stage === 0 ? sample : (history.at(-1) as Tensor);
      const t = timesteps[index - stage] as number;
      // To half a step on, to half a step before the next one, and twice to that one.
      const to = stage === 0 ? t - half : (timesteps[stage === 2 ? index + 1 : index] as number);
      const weighted = output.mul(stage === 0 || stage === 3 ? 1 / 6 : 1 / 3);
      const total = sum === undefined ? weighted : sum.add(weighted);
      const kept = stage === 0 ? [...past, output] : past;
      const next = transfer(origin, t, to, stage === 3 ? total : output);
      return { sample: next, index: index + 1, history: stage === 3 ? kept : [...kept, total, origin] };
    };
    const linear = ({ index, begin, history, sample }: SamplerState, output: Tensor): SamplerState => {
      // As in diffusers, sampling that begins in the middle makes its own first two steps.
      const counter = index - (begin ?? prk.length);
      const t = timesteps[index] as number;
      if (settings.skip_prk_steps && counter < 2) {
        // The first step, made again from where it began, along the mean of both ends' predictions.
        const [first, origin] = history as readonly [Tensor, Tensor];
        if (counter === 0)
          return {
            sample: transfer(sample, t, t - stride, output),
            index: index + 1,
            begin,
            history: [output, sample],
          };
        const mean = output.add(first).mul(0.5);
        return { sample: transfer(origin, t + stride, t, mean), index: index + 1, begin, history: [first] };
      }
      const outputs = [...history.slice(-3), output];
      const slope = combination(outputs.toReversed(), multistep[outputs.length - 1] as readonly number[]);
      return { sample: transfer(sample, t, t - stride, slope), index: index + 1, begin, history: outputs };
    };
    return {
      timesteps,
      initNoiseSigma: 1,
      noiseScalesAt: (index) => noiseScalesOf(barAt(timesteps[index] as number)),
      drawsNoise: () => false,
      start: (noise) => ({ sample: noise, index: 0, history: [] }),
      modelInput: ({ sample }) => sample,
      step: (state, output) => (state.index < prk.length ? rungeKutta(state, output) : linear(state, output)),
    };
  };
}
