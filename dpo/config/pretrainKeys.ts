import { deviceKeys, imageKeys, optimiserKeys, runKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { most, neededObject, neededText, neededTexts, numberFrom, positive, wholeFrom } from './fields.ts';

/** Everything that `pretrain` can be told. */
export const pretrainKeys = {
  images: pathKey(
    neededTexts,
    'Captioned images: a JSONL file of {caption, image}, or Parquet files with the columns caption, and jpg or image. They are kept on the device.',
    'pictures',
  ),
  output: pathKey(neededText, 'The folder that everything is written to.'),
  unet: configKey(neededObject, "The config.json of diffusers' UNet2DConditionModel."),
  textEncoder: configKey(
    neededObject,
    "The config.json of transformers' CLIPTextModel, or CLIPTextModelWithProjection for a UNet that takes sizes; vocab_size and the ids of the start and end tokens follow from the tokenizer.",
  ),
  scheduler: configKey(neededObject, 'A scheduler_config.json: how images are noised, and how samples are drawn.'),
  merges: configKey(wholeFrom(400, 0, 65_536), 'Pairs of symbols that the tokenizer learns from the captions.'),
  ...deviceKeys,
  steps: configKey(wholeFrom(10_000, 1), 'Updates in all.'),
  batchSize: configKey(wholeFrom(32, 1, most.batch), 'Images in a step.'),
  ...optimiserKeys,
  learningRate: configKey(positive(1e-3), 'The highest learning rate.'),
  emaDecay: configKey(numberFrom(0.999, 0, 1), 'Decay of the average of the parameters, which is what is saved.'),
  maxGradientNorm: configKey(positive(1), 'Gradients with a larger norm are scaled down to it.'),
  size: imageKeys.size,
  maxSkipped: imageKeys.maxSkipped,
  captionDropout: configKey(
    numberFrom(0.1, 0, 1),
    'Share of captions that are replaced by the empty one, for guidance.',
  ),
  ...runKeys,
  checkpointEvery: configKey(wholeFrom(500, 1), 'Steps between checkpoints, each with a grid of samples.'),
  logEvery: configKey(wholeFrom(50, 1), 'Steps that a row of the log is a mean of.'),
  sampleSteps: configKey(wholeFrom(30, 1, most.samplingSteps), 'Steps that samples are drawn in.'),
  guidance: configKey(numberFrom(3, 0), 'Scale of classifier-free guidance of samples.'),
} as const;

export type PretrainSettings = SettingsOf<typeof pretrainKeys>;
