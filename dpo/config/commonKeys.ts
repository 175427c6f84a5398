import { boolean, oneOf } from '../../diffusion/index.ts';
import { learningRateSchedules } from '../../nn/index.ts';
import { numberFrom, optional, pictureSize, positive, wholeFrom } from './fields.ts';
import { key } from './configKey.ts';

/** Where things are computed. */
export const deviceKeys = {
  device: key(
    oneOf('auto', 'webgpu', 'wasm', 'reference'),
    'Where to compute: auto takes a GPU if there is one, and WebAssembly otherwise.',
  ),
  seed: key(wholeFrom(0, 0), 'Everything random follows from it.'),
} as const;

/** How parameters are moved. */
export const optimiserKeys = {
  optimiser: key(oneOf('adamw', 'adafactor', 'lion', 'sgd'), 'How gradients become steps.'),
  learningRate: key(positive(1e-5), 'The highest learning rate.'),
  learningRateSchedule: key(
    oneOf('constant_with_warmup', ...learningRateSchedules.filter((name) => name !== 'constant_with_warmup')),
    'How the learning rate goes on after the warm-up.',
  ),
  warmupSteps: key(wholeFrom(0, 0), 'Steps in which the learning rate grows from 0.'),
  weightDecay: key(numberFrom(0.01, 0), 'Decoupled weight decay.'),
  maxGradientNorm: key(optional(positive(1)), 'Gradients with a larger norm are scaled down to it; null: none are.'),
  emaDecay: key(
    optional(numberFrom(0.999, 0, 1)),
    'Decay of an average of what is trained, which is saved in its place; null: none.',
  ),
} as const;

/** What is done to pictures. */
export const pictureKeys = {
  size: key(pictureSize, "Pixels of a side, or [height, width]; null: what the UNet's configuration says."),
  crop: key(oneOf('center', 'random'), 'Which part is kept of pictures with other proportions.'),
  flip: key(boolean(false), 'Whether half of the pictures are mirrored.'),
  captionDropout: key(numberFrom(0, 0, 1), 'Share of captions that are replaced by the empty one.'),
  maxSkipped: key(wholeFrom(10, 0), 'How many rows that cannot be read are passed over before a run stops.'),
} as const;

/** What a run writes down, and when. */
export const runKeys = {
  checkpointEvery: key(wholeFrom(100, 1), 'Steps between checkpoints, from which a run that was stopped goes on.'),
  keepCheckpoints: key(wholeFrom(2, 1), 'How many checkpoints are kept.'),
  logEvery: key(wholeFrom(10, 1), 'Steps that a row of metrics is a mean of.'),
} as const;
