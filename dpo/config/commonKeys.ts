import { boolean, oneOf } from '../../diffusion/index.ts';
import { learningRateSchedules } from '../../nn/index.ts';
import { configKey } from './configKey.ts';
import { imageSize, numberFrom, optional, positive, wholeFrom } from './fields.ts';

/** Device and seed; all commands have these. */
export const deviceKeys = {
  device: configKey(
    oneOf('auto', 'webgpu', 'wasm', 'reference'),
    'The device that computes; auto takes a GPU if there is one, and WebAssembly otherwise.',
  ),
  seed: configKey(wholeFrom(0, 0), 'Seed of all random numbers.'),
} as const;

/** Keys of the optimiser. */
export const optimiserKeys = {
  optimiser: configKey(oneOf('adamw', 'adafactor', 'lion', 'sgd'), 'The optimiser that updates the parameters.'),
  learningRate: configKey(positive(1e-5), 'The peak learning rate.'),
  learningRateSchedule: configKey(
    oneOf('constant_with_warmup', ...learningRateSchedules.filter((name) => name !== 'constant_with_warmup')),
    'The shape of the learning rate after the warm-up.',
  ),
  warmupSteps: configKey(wholeFrom(0, 0), 'Steps over which the learning rate rises from 0.'),
  weightDecay: configKey(numberFrom(0.01, 0), 'Decoupled weight decay.'),
  maxGradientNorm: configKey(
    optional(positive(1)),
    'The gradient is scaled down to this norm where it is larger; null: no clipping.',
  ),
  emaDecay: configKey(
    optional(numberFrom(0.999, 0, 1)),
    'Decay of an exponential moving average of the trained parameters, which is saved in their place; null: no average.',
  ),
} as const;

/** Keys of image preprocessing. */
export const imageKeys = {
  size: configKey(imageSize, "Side of the images in pixels, or [height, width]; null: the UNet's configured size."),
  crop: configKey(oneOf('center', 'random'), 'Where images of other proportions are cropped.'),
  flip: configKey(boolean(false), 'Mirror half of the images, chosen at random.'),
  captionDropout: configKey(numberFrom(0, 0, 1), 'Share of captions that are replaced by the empty caption.'),
  maxSkipped: configKey(wholeFrom(10, 0), 'Unreadable rows that are skipped before the run stops.'),
} as const;

/** Keys of checkpoints and logs. */
export const runKeys = {
  checkpointEvery: configKey(
    wholeFrom(100, 1),
    'Steps between training checkpoints; a stopped run resumes from the last one.',
  ),
  keepCheckpoints: configKey(wholeFrom(2, 1), 'Training checkpoints that are kept.'),
  logEvery: configKey(wholeFrom(10, 1), 'Steps that one row of metrics averages.'),
} as const;
