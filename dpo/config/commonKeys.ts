import { boolean, oneOf } from '../../diffusion/index.ts';
import { learningRateSchedules } from '../../nn/index.ts';
import { configKey } from './configKey.ts';
import { imageSize, numberFrom, optional, positive, wholeFrom } from './fields.ts';

/** Where things are computed. */
export const deviceKeys = {
  device: configKey(
    oneOf('auto', 'webgpu', 'wasm', 'reference'),
    'Where to compute: auto takes a GPU if there is one, and WebAssembly otherwise.',
  ),
  seed: configKey(wholeFrom(0, 0), 'Everything random follows from it.'),
} as const;

/** How parameters are moved. */
export const optimiserKeys = {
  optimiser: configKey(oneOf('adamw', 'adafactor', 'lion', 'sgd'), 'How gradients become steps.'),
  learningRate: configKey(positive(1e-5), 'The highest learning rate.'),
  learningRateSchedule: configKey(
    oneOf('constant_with_warmup', ...learningRateSchedules.filter((name) => name !== 'constant_with_warmup')),
    'How the learning rate goes on after the warm-up.',
  ),
  warmupSteps: configKey(wholeFrom(0, 0), 'Steps in which the learning rate grows from 0.'),
  weightDecay: configKey(numberFrom(0.01, 0), 'Decoupled weight decay.'),
  maxGradientNorm: configKey(
    optional(positive(1)),
    'Gradients with a larger norm are scaled down to it; null: none are.',
  ),
  emaDecay: configKey(
    optional(numberFrom(0.999, 0, 1)),
    'Decay of an average of what is trained, which is saved in its place; null: none.',
  ),
} as const;

/** What is done to images. */
export const imageKeys = {
  size: configKey(imageSize, "Pixels of a side, or [height, width]; null: what the UNet's configuration says."),
  crop: configKey(oneOf('center', 'random'), 'Which part is kept of images with other proportions.'),
  flip: configKey(boolean(false), 'Whether half of the images are mirrored.'),
  captionDropout: configKey(numberFrom(0, 0, 1), 'Share of captions that are replaced by the empty one.'),
  maxSkipped: configKey(wholeFrom(10, 0), 'How many rows that cannot be read are passed over before a run stops.'),
} as const;

/** What a run writes down, and when. */
export const runKeys = {
  checkpointEvery: configKey(
    wholeFrom(100, 1),
    'Steps between checkpoints, from which a run that was stopped goes on.',
  ),
  keepCheckpoints: configKey(wholeFrom(2, 1), 'How many checkpoints are kept.'),
  logEvery: configKey(wholeFrom(10, 1), 'Steps that a row of metrics is a mean of.'),
} as const;
