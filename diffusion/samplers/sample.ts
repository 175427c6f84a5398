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

export interface SampleOptions {
  readonly trajectory: Trajectory;
  /** What the network says of noisy images [N, …] at a time step; classifier-free guidance is its business. */
  readonly model: (x: Tensor, timestep: number, index: number) => Tensor;
  /** One key for each image: what becomes of it depends on its key alone, never on the others. */
  readonly keys: readonly Tensor[];
  /** The shape of one image. */
  readonly shape: readonly number[];
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

/**
 * Images [N, …] from noise, one per key. Each step is computed before the next one is begun.
 * @throws TensorError where an image holds NaN or infinity in the end, as weights that do bring about
 */
export async function sample({ trajectory, model, keys, shape, onStep, signal }: SampleOptions): Promise<Tensor> {
  let state = await realize(trajectory.start(unitNoise(keys, 0, shape)));
  for (const [index, timestep] of trajectory.timesteps.entries()) {
    signal?.throwIfAborted();
    const output = model(trajectory.modelInput(state), timestep, index);
    const noise = trajectory.drawsNoise(index) ? unitNoise(keys, index + 1, shape) : undefined;
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
