import { deviceKeys, pictureKeys } from './commonKeys.ts';
import { most, neededText, neededTexts, numberFrom, optional, pngFile, wholeFrom } from './fields.ts';
import { key, pathKey, type SettingsOf } from './configKey.ts';

/** How pictures are drawn. */
export const samplingKeys = {
  samplingSteps: key(wholeFrom(20, 1, most.samplingSteps), 'Steps from noise to a picture.'),
  guidance: key(numberFrom(3, 0), 'Scale of classifier-free guidance; 1 is none.'),
  guidanceRescale: key(
    numberFrom(0, 0, 1),
    'Share of guided predictions that is brought back to the contrast of unguided ones.',
  ),
  sampleBatchSize: key(wholeFrom(64, 1, most.batch), 'Pictures that are drawn together; they do not depend on it.'),
} as const;

/** Everything that `sample` can be told. */
export const sampleKeys = {
  model: pathKey(neededText, 'The folder of a pipeline, in the layout of diffusers.'),
  lora: pathKey(optional(neededText), 'Adapters to add: a pytorch_lora_weights.safetensors.'),
  captions: key(neededTexts, 'A caption, or a list of them.'),
  count: key(wholeFrom(1, 1, most.count), 'Pictures of each caption.'),
  output: pathKey(pngFile, 'The PNG that a grid of the pictures is written to.'),
  columns: key(wholeFrom(8, 1, 1000), 'Pictures in a row of the grid.'),
  zoom: key(wholeFrom(4, 1, 64), 'Each pixel is drawn so many pixels wide and high.'),
  size: pictureKeys.size,
  ...deviceKeys,
  ...samplingKeys,
} as const;

export type SampleSettings = SettingsOf<typeof sampleKeys>;
