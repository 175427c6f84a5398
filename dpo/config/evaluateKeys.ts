import { text } from '../../diffusion/index.ts';
import { deviceKeys } from './commonKeys.ts';
import { neededText, neededTexts, optional, pictureSize, wholeFrom } from './fields.ts';
import { key, pathKey, type SettingsOf } from './key.ts';
import { samplingKeys } from './sampleKeys.ts';

/** Everything that `evaluate` can be told. */
export const evaluateKeys = {
  base: pathKey(neededText, 'The folder of the pipeline before tuning.'),
  tuned: pathKey(optional(neededText), 'The folder of the tuned pipeline; null: base, with the adapters of `lora`.'),
  lora: pathKey(optional(neededText), 'Adapters: a pytorch_lora_weights.safetensors.'),
  pairs: pathKey(
    neededTexts,
    'Held-out preference pairs, which implicit accuracy and the accuracy of the classifier are measured on.',
  ),
  trainPairs: pathKey(
    neededTexts,
    'The pairs that were trained on: samples are drawn of their captions, and the classifier learns from their pictures.',
  ),
  run: pathKey(optional(neededText), 'The output folder of the training, for its curves and settings in the report.'),
  output: pathKey(neededText, 'The folder that report.html, summary.json and pictures are written to.'),
  preferred: key(
    optional(text('')),
    'Which of the models named in the pairs made the preferred pictures; null: the classifier learns from the labels.',
  ),
  judges: pathKey(
    optional(neededText),
    'A folder of networks that were trained before, with `saveJudges`; null: they are trained on the pictures of the pairs.',
  ),
  beta: key(optional(wholeFrom(1, 1)), "β of the margin; null: that of the run's settings, else 5000."),
  samples: key(wholeFrom(256, 8), 'Pictures that are drawn from each of the two pipelines.'),
  draws: key(wholeFrom(10, 1), 'Draws of noise and time step for each held-out pair.'),
  candidates: key(wholeFrom(10, 2), "Captions among which a sample's own is to be found."),
  batchSize: key(wholeFrom(16, 1), 'Pairs that are computed together.'),
  size: key(pictureSize, "Pixels of a side, or [height, width]; null: what the UNet's configuration says."),
  ...deviceKeys,
  ...samplingKeys,
} as const;

export type EvaluateSettings = SettingsOf<typeof evaluateKeys>;
