import { deviceKeys, imageKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { most, neededText, neededTexts, numberFrom, optional, pngFile, wholeFrom } from './fields.ts';

/** How images are drawn. */
export const samplingKeys = {
  samplingSteps: configKey(wholeFrom(20, 1, most.samplingSteps), 'Steps from noise to an image.'),
  guidance: configKey(numberFrom(3, 0), 'Scale of classifier-free guidance; 1 is none.'),
  guidanceRescale: configKey(
    numberFrom(0, 0, 1),
    'Share of guided predictions that is brought back to the contrast of unguided ones.',
  ),
  sampleBatchSize: configKey(wholeFrom(64, 1, most.batch), 'Images that are drawn together; they do not depend on it.'),
} as const;

/** Everything that `sample` can be told. */
export const sampleKeys = {
  model: pathKey(neededText, 'The folder of a pipeline, in the layout of diffusers.'),
  lora: pathKey(optional(neededText), 'Adapters to add: a pytorch_lora_weights.safetensors.'),
  captions: configKey(neededTexts, 'A caption, or a list of them.'),
  count: configKey(wholeFrom(1, 1, most.count), 'Images of each caption.'),
  output: pathKey(pngFile, 'The PNG that a grid of the images is written to.'),
  columns: configKey(wholeFrom(8, 1, 1000), 'Images in a row of the grid.'),
  zoom: configKey(wholeFrom(4, 1, 64), 'Each pixel is drawn so many pixels wide and high.'),
  size: imageKeys.size,
  ...deviceKeys,
  ...samplingKeys,
} as const;

export type SampleSettings = SettingsOf<typeof sampleKeys>;
