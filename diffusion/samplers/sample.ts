import {
  all,
  cast,
  dispose,
  isFinite as isFiniteTensor,
  random,
  read,
  realize,
  stack,
  type Tensor,
  TensorError,
} from '../../tensor/index.ts';
import type { SamplerState, Trajectory } from './trajectory.ts';

/** Options of `sample`. */
export interface SampleOptions {
  readonly trajectory: Trajectory;
  /** What the network says of noisy images [N, …] at a time step; classifier-free guidance is its business. */
  readonly model: (x: Tensor, timestep: number, index: number) => Tensor;
  /** One key for each image: what becomes of it depends on its key alone, never on the others. */
  readonly keys: readonly Tensor[];
  /** The shape of one image. */
  readonly shape: readonly number[];
  /** An image [N, …] to begin from, at a step of the trajectory: as much noise is added as there is at that step. */
  readonly begin?: { readonly original: Tensor; readonly index: number } | undefined;
  /** Unit noise in place of what keys draw: draw 0 is what sampling begins with, draw i + 1 is for step i. */
  readonly noise?: ((draw: number) => Tensor) | undefined;
  /** Told after each step; the state is realized. */
  readonly onStep?: (state: SamplerState) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** Keys of images `from` to `from + count − 1` of a seed's. */
export const imageKeys = (seedKey: Tensor, count: number, from = 0): Tensor[] =>
  Array.from({ length: count }, (_, i) => random.foldIn(seedKey, from + i));

/** Unit noise for each image: draw 0 is what it begins with, draw i + 1 is for step i. */
const unitNoise = (keys: readonly Tensor[], draw: number, shape: readonly number[]): Tensor =>
  stack(
    keys.map((key) => random.normal(random.foldIn(key, draw), shape)),
    0,
  );

/** The state at step `index`: the image mixed with noise as the schedule has it there. */
function beginAt(trajectory: Trajectory, index: number, original: Tensor, noise: Tensor): SamplerState {
  const count = trajectory.timesteps.length;
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new TensorError(`sample: sampling cannot begin at step ${index}; the steps are 0 to ${count - 1}`);
  const { signal, noise: sigma } = trajectory.noiseScalesAt(index);
  return { sample: original.mul(signal).add(noise.mul(sigma)), index, begin: index, history: [] };
}

/**
 * Images [N, …] from noise, or from a given image with noise added, one per key. Each step is computed before the next one is begun.
 * @throws TensorError where an image holds NaN or infinity in the end, as weights that do bring about
 */
export async function sample(options: SampleOptions): Promise<Tensor> {
  const { trajectory, model, keys, shape, begin, onStep, signal } = options;
  const noiseOf = options.noise ?? ((draw: number) => unitNoise(keys, draw, shape));
  const noise = noiseOf(0);
  let state = await realize(
    begin === undefined ? trajectory.start(noise) : beginAt(trajectory, begin.index, begin.original, noise),
  );
  for (const [index, timestep] of trajectory.timesteps.entries()) {
    if (index < state.index) continue;
    signal?.throwIfAborted();
    const output = model(trajectory.modelInput(state), timestep, index);
    const noise = trajectory.drawsNoise(index) ? noiseOf(index + 1) : undefined;
    state = await realize(trajectory.step(state, output, noise), { donate: state });
    await onStep?.(state);
  }
  const bad = await notFinite(state.sample);
  if (bad.length === 0) return state.sample;
  dispose(state.sample);
  throw new TensorError(
    `sample: ${bad.length} of ${keys.length} images hold NaN or infinity, the first at index ${bad[0]}; ` +
      'weights that are not finite do that, or numbers on the way that are too large for their dtype',
  );
}

/** Which images hold NaN or infinity. */
async function notFinite(images: Tensor): Promise<number[]> {
  const axes = images.shape.map((_, axis) => axis).slice(1);
  const flags = await read(cast(all(isFiniteTensor(images), axes), 'i32'));
  return Array.from(flags).flatMap((flag, i) => (flag === 0 ? [i] : []));
}
