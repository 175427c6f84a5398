import { boolean, oneOf, texts } from '../../diffusion/index.ts';
import { attentionProjections } from '../../nn/index.ts';
import { dspoPulls, safeguardScopes } from '../objectives/index.ts';
import { timestepWeightNames } from '../objectives/timestepWeights.ts';
import { deviceKeys, imageKeys, optimiserKeys, runKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { most, neededText, neededTexts, numberFrom, optional, positive, timestepRange, wholeFrom } from './fields.ts';

/** The objectives whose margin is weighted by time steps. */
const weighted = ['dpo', 'dpo+sft', 'cdpo', 'robust', 'hinge', 'dspo', 'dmpo', 'flow-dpo'] as const;

/** Everything that `train` can be told. */
export const trainKeys = {
  model: pathKey(neededText, 'The folder of the pipeline to tune, in the layout of diffusers.'),
  pairs: pathKey(
    neededTexts,
    'Preference pairs: Parquet files with the columns of Pick-a-Pic or a folder of them, a JSONL file, or a folder with w and l.',
  ),
  validation: pathKey(optional(neededTexts), 'Held-out pairs, which are only looked at.'),
  output: pathKey(neededText, 'The folder that everything is written to.'),
  ...deviceKeys,

  objective: configKey(
    oneOf('dpo', 'sft', 'dpo+sft', 'cdpo', 'robust', 'ipo', 'hinge', 'kto', 'mapo', 'dspo', 'dmpo', 'flow-dpo'),
    'What is minimised; flow-dpo is dpo on a pipeline that predicts the velocities of a flow.',
  ),
  beta: configKey(
    positive(5000),
    'Strength of the pull towards the reference, per mean squared error as in the published code; of sft, ipo and mapo no part.',
  ),
  sftWeight: configKey(positive(1), 'Weight of the second term, α.', { objective: ['dpo+sft'] }),
  labelSmoothing: configKey(numberFrom(0.1, 0, 0.5), 'Share that labels are smoothed by, e.', { objective: ['cdpo'] }),
  flipRate: configKey(numberFrom(0.1, 0, 0.499), 'Share of wrong labels that is taken for granted.', {
    objective: ['robust'],
  }),
  mislabelled: configKey(numberFrom(0.1, 0, 0.499), 'Share of labels that are taken to be wrong, a.', {
    objective: ['dmpo'],
  }),
  ipoTau: configKey(positive(50), 'τ: the margin is 1/(2τ), of mean squared errors.', { objective: ['ipo'] }),
  mapoWeight: configKey(positive(0.1), 'Weight of the comparison, b.', { objective: ['mapo'] }),
  safeguard: configKey(
    optional(numberFrom(0.9, 0, 1)),
    "μ: limits the loser's gradient where it would undo the winner's; null: no limit.",
  ),
  safeguardScope: configKey(
    oneOf(...safeguardScopes),
    'What has one factor of the safeguard: the whole micro-batch, as in its released code, or each pair.',
  ),
  dspoPull: configKey(
    oneOf(...dspoPulls),
    'Whether 1 − σ(u) is differentiated, as in the released code for Stable Diffusion 1.5, or held fixed.',
    { objective: ['dspo'] },
  ),
  timestepWeight: configKey(
    oneOf(...timestepWeightNames),
    'Weights of time steps: constant as in the paper and its code, elbo, score-consistent, or min-snr.',
    { objective: weighted },
  ),
  dataVariance: configKey(
    optional(positive(1)),
    'Variance of the data in each dimension; null: measured on the pairs.',
    {
      timestepWeight: ['score-consistent'],
    },
  ),
  snrGamma: configKey(positive(5), 'Signal-to-noise ratio above which time steps weigh less, γ.', {
    timestepWeight: ['min-snr'],
  }),
  timesteps: configKey(
    oneOf('all', 'turbo', 'refiner'),
    'Which time steps are trained at: all, the four of SDXL-Turbo, or the last fifth, which is what a refiner sees.',
  ),
  timestepRange: configKey(
    timestepRange,
    'The first and the last time step that are drawn; null: all. What an image shows is settled at the noisy ones, how it is drawn at the others.',
  ),

  method: configKey(oneOf('full', 'lora'), 'Train all parameters of the UNet, or adapters of low rank beside them.'),
  reference: configKey(
    oneOf('model', 'precomputed'),
    'A frozen model that is asked at every step, or its errors computed before the first: then one copy of the weights suffices. LoRA needs no copy anyway.',
  ),
  loraRank: configKey(wholeFrom(8, 1, 4096), 'Rank of adapters, r.', { method: ['lora'] }),
  loraAlpha: configKey(optional(positive(8)), 'Scale of adapters, alpha: their product counts alpha/r; null: r.', {
    method: ['lora'],
  }),
  loraTargets: configKey(texts(attentionProjections), 'Which layers get adapters: patterns of their paths.', {
    method: ['lora'],
  }),
  storage: configKey(
    oneOf('f32', 'bf16', 'f16'),
    'How weights are stored. Halves are trained by way of copies in f32, and computed with in f32.',
  ),
  checkpointing: configKey(boolean(false), 'Compute activations again in the backward pass instead of keeping them.'),

  steps: configKey(wholeFrom(1000, 1), 'Updates in all.'),
  batchSize: configKey(wholeFrom(1, 1, most.batch), 'Pairs that are computed together.'),
  accumulation: configKey(wholeFrom(1, 1, most.count), 'Batches whose gradients make one update.'),
  ...optimiserKeys,

  ...imageKeys,
  independentTransforms: configKey(
    boolean(false),
    'Draw crops and flips for each side of a pair by itself, as the published code does.',
  ),
  timeIds: configKey(
    oneOf('constant', 'true'),
    'Sizes and crops that an SDXL model is told: [size, size, 0, 0, size, size] as in the published code, or the true ones.',
  ),

  validateEvery: configKey(wholeFrom(100, 1), 'Steps between looks at the held-out pairs.'),
  validationDraws: configKey(wholeFrom(2, 1, most.draws), 'Draws of noise and time step for each held-out pair.'),
  buckets: configKey(wholeFrom(10, 1, 1000), 'Parts that the time steps are cut into in metrics.'),
  tensorboard: configKey(boolean(true), 'Also write event files for TensorBoard.'),
  ...runKeys,
  saveDtype: configKey(oneOf('f32', 'f16', 'bf16'), 'How the tuned model is saved.', { method: ['full'] }),
} as const;

export type TrainSettings = SettingsOf<typeof trainKeys>;
