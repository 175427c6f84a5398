import { text } from '../../diffusion/index.ts';
import { deviceKeys, imageKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { most, neededText, neededTexts, optional, positive, wholeFrom } from './fields.ts';
import { samplingKeys } from './sampleKeys.ts';

/** Everything that `evaluate` can be told. */
export const evaluateKeys = {
  base: pathKey(neededText, 'The folder of the pipeline before tuning.'),
  tuned: pathKey(optional(neededText), 'The folder of the tuned pipeline; null: base, with the adapters of `lora`.'),
  lora: pathKey(optional(neededText), 'Adapters: a pytorch_lora_weights.safetensors.'),
  pairs: pathKey(
    neededTexts,
    'Held-out preference pairs, which implicit accuracy is measured on, and the accuracy of the classifier where it is trained here.',
  ),
  trainPairs: pathKey(
    neededTexts,
    'The pairs that were trained on: samples are drawn of their captions, and the classifier learns from their images.',
  ),
  run: pathKey(optional(neededText), 'The output folder of the training, for its curves and settings in the report.'),
  output: pathKey(neededText, 'The folder that report.html, summary.json and images are written to.'),
  preferred: configKey(
    optional(text('')),
    'Which of the models named in the pairs made the preferred images; null: the classifier learns from the labels.',
  ),
  judges: pathKey(
    optional(neededText),
    'A folder of networks that were trained before, with `saveJudges`; null: they are trained on the images of the pairs.',
  ),
  reward: pathKey(
    optional(neededText),
    'A module that exports `score(images, captions)`, a number for each image, which win rate and frontier go by; null: the probability of the preferred kind.',
  ),
  mostPairs: configKey(
    wholeFrom(1000, 1, most.count),
    'Pairs of each set that real images are taken from at most, for judges, distances and captions; implicit accuracy is of all.',
  ),
  beta: configKey(optional(positive(1)), "β of the margin; null: that of the run's settings, else 5000."),
  samples: configKey(wholeFrom(256, 8, most.count), 'Images that are drawn from each of the two pipelines.'),
  draws: configKey(wholeFrom(10, 1, most.draws), 'Draws of noise and time step for each held-out pair.'),
  candidates: configKey(wholeFrom(10, 2, most.draws), "Captions among which a sample's own is to be found."),
  batchSize: configKey(wholeFrom(16, 1, most.batch), 'Pairs that are computed together.'),
  size: imageKeys.size,
  maxSkipped: imageKeys.maxSkipped,
  ...deviceKeys,
  ...samplingKeys,
} as const;

export type EvaluateSettings = SettingsOf<typeof evaluateKeys>;
