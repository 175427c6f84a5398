import { oneOf, text } from '../../diffusion/index.ts';
import { deviceKeys, imageKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { neededText, neededTexts, optional, positive, upperLimits, wholeFrom } from './fields.ts';
import { samplingKeys } from './sampleKeys.ts';

/** The keys of `evaluate`. */
export const evaluateKeys = {
  base: pathKey(neededText, 'The model folder of the pipeline before tuning.'),
  tuned: pathKey(
    optional(neededText),
    'The model folder of the tuned pipeline; null: base with the adapters of `lora`.',
  ),
  lora: pathKey(optional(neededText), 'LoRA adapters: a pytorch_lora_weights.safetensors.'),
  pairs: pathKey(
    neededTexts,
    'Held-out preference pairs, which measure the implicit accuracy, and the accuracy of a classifier trained here.',
  ),
  trainPairs: pathKey(
    neededTexts,
    'The training pairs: samples are drawn for their captions, and the classifier learns from their images.',
  ),
  run: pathKey(
    optional(neededText),
    'The output folder of the training run; the report shows its curves and settings.',
  ),
  output: pathKey(neededText, 'The folder that report.html, summary.json and images are written to.'),
  preferred: configKey(
    optional(text('')),
    'The generator, as the pairs name it, whose images are preferred; null: the classifier learns from the labels.',
  ),
  judges: pathKey(
    optional(neededText),
    'A folder of judges that `saveJudges` wrote; null: judges are trained on the images of the pairs.',
  ),
  reward: pathKey(
    optional(neededText),
    "A module that exports `score(images, captions)`, a number for each image, which win rate and frontier use; null: the classifier's probability of the preferred class.",
  ),
  mostPairs: configKey(
    wholeFrom(1000, 1, upperLimits.count),
    'At most so many pairs of each set give real images for judges, distances and captions; implicit accuracy uses all pairs.',
  ),
  beta: configKey(optional(positive(1)), "β of the margin; null: β of the run's settings, or 5000 without a run."),
  samples: configKey(wholeFrom(256, 8, upperLimits.count), 'Images drawn from each of the two pipelines.'),
  draws: configKey(wholeFrom(10, 1, upperLimits.draws), 'Draws of noise and time step for each held-out pair.'),
  candidates: configKey(
    wholeFrom(10, 2, upperLimits.draws),
    "Captions among which the caption match looks for a sample's own.",
  ),
  batchSize: configKey(wholeFrom(16, 1, upperLimits.batch), 'Pairs in a batch.'),
  size: imageKeys.size,
  maxSkipped: imageKeys.maxSkipped,
  storage: configKey(oneOf('f32', 'bf16', 'f16'), 'Dtype that weights are held in; computation is in f32.'),
  ...deviceKeys,
  ...samplingKeys,
} as const;

/** The settings of `evaluate`. */
export type EvaluateSettings = SettingsOf<typeof evaluateKeys>;
