import { deviceKeys, imageKeys, optimiserKeys, runKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { neededObject, neededText, neededTexts, numberFrom, positive, upperLimits, wholeFrom } from './fields.ts';

/** The keys of `pretrain`. */
export const pretrainKeys = {
  images: pathKey(
    neededTexts,
    'Captioned images: a JSONL file of {caption, image}, or Parquet files with the columns caption, and jpg or image. All of them are kept in device memory.',
    'pictures',
  ),
  output: pathKey(neededText, 'The folder of the run: checkpoints, logs, samples and the model.'),
  unet: configKey(neededObject, "The config.json of diffusers' UNet2DConditionModel."),
  textEncoder: configKey(
    neededObject,
    "The config.json of transformers' CLIPTextModel, or CLIPTextModelWithProjection for a UNet that is conditioned on image sizes; vocab_size and the ids of the start and end tokens follow from the tokenizer.",
  ),
  scheduler: configKey(neededObject, 'A scheduler_config.json: the noise schedule and the sampler.'),
  merges: configKey(wholeFrom(400, 0, 65_536), 'Byte-pair merges that the tokenizer learns from the captions.'),
  ...deviceKeys,
  steps: configKey(wholeFrom(10_000, 1), 'Parameter updates in all.'),
  batchSize: configKey(wholeFrom(32, 1, upperLimits.batch), 'Images in a batch.'),
  ...optimiserKeys,
  learningRate: configKey(positive(1e-3), 'The peak learning rate.'),
  emaDecay: configKey(
    numberFrom(0.999, 0, 1),
    'Decay of the exponential moving average of the parameters, which is what is saved.',
  ),
  maxGradientNorm: configKey(positive(1), 'The gradient is scaled down to this norm where it is larger.'),
  size: imageKeys.size,
  maxSkipped: imageKeys.maxSkipped,
  captionDropout: configKey(
    numberFrom(0.1, 0, 1),
    'Share of captions that are replaced by the empty caption, as classifier-free guidance needs it.',
  ),
  ...runKeys,
  checkpointEvery: configKey(wholeFrom(500, 1), 'Steps between training checkpoints, each with a grid of samples.'),
  logEvery: configKey(wholeFrom(50, 1), 'Steps that one row of the log averages.'),
  sampleSteps: configKey(wholeFrom(30, 1, upperLimits.samplingSteps), 'Denoising steps of the samples.'),
  guidance: configKey(numberFrom(3, 0), 'Classifier-free guidance scale of the samples; 1 is none.'),
} as const;

/** The settings of `pretrain`. */
export type PretrainSettings = SettingsOf<typeof pretrainKeys>;
