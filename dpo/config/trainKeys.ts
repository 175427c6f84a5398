import { boolean, oneOf, texts } from '../../diffusion/index.ts';
import { attentionProjections } from '../../nn/index.ts';
import { dspoPulls, safeguardScopes, timestepWeightNames } from '../objectives/index.ts';
import { deviceKeys, imageKeys, optimiserKeys, runKeys } from './commonKeys.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import {
  neededText,
  neededTexts,
  numberFrom,
  optional,
  positive,
  timestepRange,
  upperLimits,
  wholeFrom,
} from './fields.ts';

/** Objectives that weight their margin by time step. */
const weighted = ['dpo', 'dpo+sft', 'cdpo', 'robust', 'hinge', 'dspo', 'dmpo', 'flow-dpo'] as const;

/** The keys of `train`. */
export const trainKeys = {
  model: pathKey(neededText, 'The model folder of the pipeline to tune, in the layout of diffusers.'),
  pairs: pathKey(
    neededTexts,
    'Preference pairs: Parquet files with the columns of Pick-a-Pic or a folder of them, a JSONL file, or a folder with w and l.',
  ),
  validation: pathKey(optional(neededTexts), 'Held-out preference pairs: measured, never trained on.'),
  output: pathKey(neededText, 'The folder of the run: checkpoints, metrics and the tuned model.'),
  ...deviceKeys,

  objective: configKey(
    oneOf('dpo', 'sft', 'dpo+sft', 'cdpo', 'robust', 'ipo', 'hinge', 'kto', 'mapo', 'dspo', 'dmpo', 'flow-dpo'),
    'The loss; flow-dpo is dpo for a pipeline that predicts flow velocities.',
  ),
  beta: configKey(
    positive(5000),
    'β, the strength of the pull towards the reference, per mean squared error as in the published code; sft, ipo and mapo ignore it.',
  ),
  sftWeight: configKey(positive(1), 'α, the weight of the supervised term.', { objective: ['dpo+sft'] }),
  labelSmoothing: configKey(numberFrom(0.1, 0, 0.5), 'e, the label smoothing.', { objective: ['cdpo'] }),
  flipRate: configKey(numberFrom(0.1, 0, 0.499), 'e, the assumed share of flipped labels.', {
    objective: ['robust'],
  }),
  mislabelled: configKey(numberFrom(0.1, 0, 0.499), 'a, the assumed share of wrong labels.', {
    objective: ['dmpo'],
  }),
  ipoTau: configKey(positive(50), 'τ: the target of the margin is 1/(2τ), in mean squared errors.', {
    objective: ['ipo'],
  }),
  mapoWeight: configKey(positive(0.1), 'b, the weight of the comparison of winner and loser.', { objective: ['mapo'] }),
  safeguard: configKey(
    optional(numberFrom(0.9, 0, 1)),
    "μ of the safeguard, which scales the loser's gradient down where it would raise the winner's error; null: no safeguard.",
  ),
  safeguardScope: configKey(
    oneOf(...safeguardScopes),
    'The safeguard computes one factor for the whole micro-batch, as its released code does, or one for each pair.',
  ),
  dspoPull: configKey(
    oneOf(...dspoPulls),
    'The factor 1 − σ(u) is differentiated, as in the released code for Stable Diffusion 1.5, or held fixed.',
    { objective: ['dspo'] },
  ),
  timestepWeight: configKey(
    oneOf(...timestepWeightNames),
    'Weight of each time step in the margin: constant as in the paper and its code, elbo, score-consistent, or min-snr.',
    { objective: weighted },
  ),
  dataVariance: configKey(optional(positive(1)), 'Variance of the data per dimension; null: measured on the pairs.', {
    timestepWeight: ['score-consistent'],
  }),
  snrGamma: configKey(positive(5), 'γ, the signal-to-noise ratio above which time steps weigh less.', {
    timestepWeight: ['min-snr'],
  }),
  timesteps: configKey(
    oneOf('all', 'turbo', 'refiner'),
    'Time steps to train at: all, the four of SDXL-Turbo, or the fifth with the least noise, as for a refiner.',
  ),
  timestepRange: configKey(
    timestepRange,
    '[first, last] time step to draw from; null: all. Noisy steps decide what an image shows, the others its details.',
  ),

  method: configKey(oneOf('full', 'lora'), 'Train all parameters of the UNet, or LoRA adapters beside them.'),
  reference: configKey(
    oneOf('model', 'precomputed'),
    'The frozen model predicts at every step, or its errors are computed before the first step, which saves its copy of the weights. LoRA keeps no copy either way.',
  ),
  loraRank: configKey(wholeFrom(8, 1, 4096), 'r, the rank of the adapters.', { method: ['lora'] }),
  loraAlpha: configKey(optional(positive(8)), 'α: the product of the adapter matrices is scaled by α/r; null: r.', {
    method: ['lora'],
  }),
  loraTargets: configKey(texts(attentionProjections), 'Patterns of layer paths; matching layers get adapters.', {
    method: ['lora'],
  }),
  storage: configKey(
    oneOf('f32', 'bf16', 'f16'),
    'Dtype of the stored weights; computation is in f32. Trained weights in f16 or bf16 have master copies in f32.',
  ),
  checkpointing: configKey(
    boolean(false),
    'Gradient checkpointing: recompute activations in the backward pass instead of keeping them.',
  ),

  steps: configKey(wholeFrom(1000, 1), 'Parameter updates in all.'),
  batchSize: configKey(wholeFrom(1, 1, upperLimits.batch), 'Pairs in a micro-batch.'),
  accumulation: configKey(
    wholeFrom(1, 1, upperLimits.count),
    'Micro-batches whose gradients are averaged for one update.',
  ),
  ...optimiserKeys,

  ...imageKeys,
  independentTransforms: configKey(
    boolean(false),
    'Draw crop and flip separately for the two images of a pair, as the published code does.',
  ),
  timeIds: configKey(
    oneOf('constant', 'true'),
    'Size and crop conditioning of an SDXL model: [size, size, 0, 0, size, size] as in the published code, or the true values.',
  ),

  validateEvery: configKey(wholeFrom(100, 1), 'Steps between measurements on the held-out pairs.'),
  validationDraws: configKey(
    wholeFrom(2, 1, upperLimits.draws),
    'Draws of noise and time step for each held-out pair.',
  ),
  buckets: configKey(wholeFrom(10, 1, 1000), 'Intervals of time steps that metrics are reported for.'),
  tensorboard: configKey(boolean(true), 'Also write event files for TensorBoard.'),
  ...runKeys,
  saveDtype: configKey(oneOf('f32', 'f16', 'bf16'), 'Dtype of the saved model.', { method: ['full'] }),
} as const;

/** The settings of `train`. */
export type TrainSettings = SettingsOf<typeof trainKeys>;
