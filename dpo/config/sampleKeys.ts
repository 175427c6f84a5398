import { deviceKeys, imageKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { neededText, neededTexts, numberFrom, optional, pngFile, upperLimits, wholeFrom } from './fields.ts';

/** Keys of the sampler; `evaluate` has them too. */
export const samplingKeys = {
  samplingSteps: configKey(wholeFrom(20, 1, upperLimits.samplingSteps), 'Denoising steps of an image.'),
  guidance: configKey(numberFrom(3, 0), 'Classifier-free guidance scale; 1 is none.'),
  guidanceRescale: configKey(
    numberFrom(0, 0, 1),
    'Weight of guided predictions that are rescaled to the standard deviation of the conditional ones (Lin et al. 2023); 0 is none.',
  ),
  sampleBatchSize: configKey(
    wholeFrom(64, 1, upperLimits.batch),
    'Images that are drawn together; the images do not depend on it.',
  ),
} as const;

/** The keys of `sample`. */
export const sampleKeys = {
  model: pathKey(neededText, 'The model folder of a pipeline, in the layout of diffusers.'),
  lora: pathKey(optional(neededText), 'LoRA adapters to add: a pytorch_lora_weights.safetensors.'),
  captions: configKey(neededTexts, 'A caption, or a list of captions.'),
  count: configKey(wholeFrom(1, 1, upperLimits.count), 'Images for each caption.'),
  output: pathKey(pngFile, 'The PNG file that a grid of the images is written to.'),
  columns: configKey(wholeFrom(8, 1, 1000), 'Images in a row of the grid.'),
  zoom: configKey(wholeFrom(4, 1, 64), 'Scale of the grid: each pixel of an image covers zoom × zoom pixels.'),
  size: imageKeys.size,
  ...deviceKeys,
  ...samplingKeys,
} as const;

/** The settings of `sample`. */
export type SampleSettings = SettingsOf<typeof sampleKeys>;
