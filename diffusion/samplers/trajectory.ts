import { type Tensor, TensorError } from '../../tensor/index.ts';
import type { NoiseScales } from '../noise/prediction.ts';

/** Where sampling is: pure data, which `step` makes anew. */
export interface SamplerState {
  /** The image so far, [N, …]. */
  readonly sample: Tensor;
  /** How many steps have been made, those before `begin` included. */
  readonly index: number;
  /** The step that sampling began at, where it began from a given image; default 0. */
  readonly begin?: number | undefined;
  /** What the sampler remembers of former steps, the latest last. */
  readonly history: readonly Tensor[];
  /** The image that the last step took for x_0, where the sampler has one. */
  readonly original?: Tensor | undefined;
}

/** A way from noise to an image in a given number of steps; pure functions. */
export interface Trajectory {
  /** What the network is told at each step. */
  readonly timesteps: readonly number[];
  /** Standard deviations of the noise, for samplers that think in these; one more than there are steps. */
  readonly sigmas?: readonly number[];
  /** How the image that each step predicts is kept within bounds, in words; undefined where it is left alone. */
  readonly clipping?: string | undefined;
  /** What unit noise is multiplied by at first. */
  readonly initNoiseSigma: number;
  /** How the sample of step `index` is mixed of image and noise: with it, sampling can begin from a given image. */
  noiseScalesAt(index: number): NoiseScales;
  /** Whether step `index` adds fresh noise. */
  drawsNoise(index: number): boolean;
  /** The first state, from unit noise [N, …]. */
  start(noise: Tensor): SamplerState;
  /** What the network is given in this state. */
  modelInput(state: SamplerState): Tensor;
  /** The next state, from what the network says and, where the step draws it, unit noise. */
  step(state: SamplerState, modelOutput: Tensor, noise?: Tensor): SamplerState;
}

/** A sampler: for a number of steps, a trajectory. */
export type Sampler = (steps: number) => Trajectory;

/** The noise that a step draws; throws where there is none. */
export function needNoise(sampler: string, noise: Tensor | undefined): Tensor {
  if (noise === undefined) throw new TensorError(`${sampler}: this step adds noise; give unit noise like the sample`);
  return noise;
}
