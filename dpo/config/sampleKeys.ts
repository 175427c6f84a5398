import { oneOf } from '../../diffusion/index.ts';
import { deviceKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import {
  imageSize,
  neededText,
  neededTexts,
  numberFrom,
  optional,
  pngFile,
  texts,
  upperLimits,
  wholeFrom,
} from './fields.ts';
import { modelKeys } from './modelKeys.ts';

/** Keys of the sampler; `evaluate` has them too. */
export const samplingKeys = {
  samplingSteps: configKey(wholeFrom(20, 1, upperLimits.samplingSteps), 'Denoising steps of an image.'),
  guidance: configKey(
    optional(numberFrom(3, 0)),
    'Classifier-free guidance scale; 1 and less are none. null: 7.5 for Stable Diffusion, 5 for SDXL, 0 for Turbo, 3 on pixels.',
  ),
  guidanceRescale: configKey(
    numberFrom(0, 0, 1),
    'Weight of guided predictions that are rescaled to the standard deviation of the conditional ones (Lin et al. 2023); 0 is none.',
  ),
  sampleBatchSize: configKey(
    optional(wholeFrom(64, 1, upperLimits.batch)),
    'Images that are drawn together; the images do not depend on it. null: 1 for pipelines with an autoencoder, 64 on pixels.',
  ),
} as const;

/** The keys of `sample`. */
export const sampleKeys = {
  ...modelKeys,
  lora: pathKey(
    optional(neededTexts),
    'LoRA adapters to merge into the weights, of PEFT, diffusers or kohya: FILE, FILE:scale, or a list of them.',
  ),
  captions: { ...configKey(neededTexts, 'A caption, or a list of captions.'), otherName: 'prompt' },
  negative: configKey(
    optional(texts),
    'What images should not show: a text for all, or a list of one for each caption. null: the empty text, or zeros where the pipeline says so.',
  ),
  image: pathKey(optional(neededText), 'An image to begin from (image-to-image): JPEG, PNG or WebP.'),
  strength: configKey(
    optional(numberFrom(0.8, 0, 1)),
    'The share of the steps that are made on `image`, more of which changes it more. null: 0.8, or 0.3 for SDXL.',
  ),
  clipSkip: configKey(
    wholeFrom(0, 0, 100),
    "How many more of the text encoders' last layers are left out than the pipeline does by itself.",
  ),
  sampler: configKey(
    optional(neededText),
    "The class of another sampler than the pipeline's own, as diffusers names it, such as EulerDiscreteScheduler.",
  ),
  tileSize: configKey(
    wholeFrom(512, 64, 8192),
    'Side of the tiles in pixels that the autoencoder works in where an image is larger; 8192 decodes every image whole.',
  ),
  storage: configKey(
    oneOf('auto', 'f32', 'bf16', 'f16'),
    'Dtype that weights are held in; computation is in f32. auto: as the files have them, or bf16 where the device has no room for that.',
  ),
  count: configKey(wholeFrom(1, 1, upperLimits.count), 'Images for each caption.'),
  output: pathKey(pngFile, 'The PNG file that a grid of the images is written to.'),
  columns: configKey(wholeFrom(8, 1, 1000), 'Images in a row of the grid.'),
  zoom: configKey(
    optional(wholeFrom(4, 1, 64)),
    'Scale of the grid: each pixel of an image covers zoom × zoom pixels. null: 4, or 1 for images from 128 pixels on.',
  ),
  size: configKey(
    imageSize,
    "Side of the images in pixels, or [height, width]; null: that of `image`, or the UNet's configured size.",
  ),
  ...deviceKeys,
  ...samplingKeys,
} as const;

/** The settings of `sample`. */
export type SampleSettings = SettingsOf<typeof sampleKeys>;

/** What weights can be held in. */
export type StorageDtype = SampleSettings['storage'];
