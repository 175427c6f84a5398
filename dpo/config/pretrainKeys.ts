import { deviceKeys, optimiserKeys, pictureKeys, runKeys } from './commonKeys.ts';
import { most, neededObject, neededText, neededTexts, numberFrom, positive, wholeFrom } from './fields.ts';
import { key, pathKey, type SettingsOf } from './configKey.ts';

/** Everything that `pretrain` can be told. */
export const pretrainKeys = {
  pictures: pathKey(
    neededTexts,
    'Captioned pictures: a JSONL file of {caption, image}, or Parquet files with the columns caption, and jpg or image. They are kept on the device.',
  ),
  output: pathKey(neededText, 'The folder that everything is written to.'),
  unet: key(neededObject, "The config.json of diffusers' UNet2DConditionModel."),
  textEncoder: key(
    neededObject,
    "The config.json of transformers' CLIPTextModel, or CLIPTextModelWithProjection for a UNet that takes sizes; vocab_size and the ids of the start and end tokens follow from the tokenizer.",
  ),
  scheduler: key(neededObject, 'A scheduler_config.json: how pictures are noised, and how samples are drawn.'),
  merges: key(wholeFrom(400, 0, 65_536), 'Pairs of symbols that the tokenizer learns from the captions.'),
  ...deviceKeys,
  steps: key(wholeFrom(10_000, 1), 'Updates in all.'),
  batchSize: key(wholeFrom(32, 1, most.batch), 'Pictures in a step.'),
  ...optimiserKeys,
  learningRate: key(positive(1e-3), 'The highest learning rate.'),
  emaDecay: key(numberFrom(0.999, 0, 1), 'Decay of the average of the parameters, which is what is saved.'),
  maxGradientNorm: key(positive(1), 'Gradients with a larger norm are scaled down to it.'),
  size: pictureKeys.size,
  maxSkipped: pictureKeys.maxSkipped,
  captionDropout: key(numberFrom(0.1, 0, 1), 'Share of captions that are replaced by the empty one, for guidance.'),
  ...runKeys,
  checkpointEvery: key(wholeFrom(500, 1), 'Steps between checkpoints, each with a grid of samples.'),
  logEvery: key(wholeFrom(50, 1), 'Steps that a row of the log is a mean of.'),
  sampleSteps: key(wholeFrom(30, 1, most.samplingSteps), 'Steps that samples are drawn in.'),
  guidance: key(numberFrom(3, 0), 'Scale of classifier-free guidance of samples.'),
} as const;

export type PretrainSettings = SettingsOf<typeof pretrainKeys>;
