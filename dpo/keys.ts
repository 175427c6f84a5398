import { type Tensor, tensor } from '../tensor/index.ts';
import { type HostKey, hostKey, splitKey } from './data/draws.ts';

/**
 * The purposes of a seed. Its root key is split into one key for each purpose, here and nowhere else, so that no two uses of a
 * seed draw the same numbers. A purpose that needs many keys folds their numbers into its key.
 *
 * The number of a purpose decides which random numbers it draws. Raise `keyVersion` where one changes.
 */
const purposes = {
  /** Noise of sampled images, by image. */
  images: 0,
  /** Noise and time steps of preference training, by micro-batch. */
  training: 1,
  /** Initial values of LoRA adapters. */
  loraInit: 2,
  /** Noise and time steps for ranking held-out pairs during training. */
  validation: 3,
  /** Initial parameters of pretraining. */
  modelInit: 4,
  /** Choice of images, dropped captions, noise and time steps of pretraining, by step. */
  pretraining: 5,
  /** Order of groups of rows, by epoch. */
  groupOrder: 6,
  /** Order of the rows within each group, by epoch. */
  rowOrder: 7,
  /** Crops, flips and dropped captions, by epoch and row. */
  transforms: 8,
  /** Training of the judges that rate samples. */
  judges: 9,
  /** Noise and time steps for ranking held-out pairs in an evaluation. */
  ranking: 10,
  /** Noise and time steps for estimating the KL divergence. */
  kl: 11,
  /** Random directions and subsets in measures of samples. */
  measures: 12,
  /** Resampling for confidence intervals. */
  bootstrap: 13,
} as const;

export type KeyPurpose = keyof typeof purposes;
export const keyPurposes = Object.keys(purposes) as readonly KeyPurpose[];

/**
 * Raised whenever a seed draws other numbers than before. Training checkpoints record it, so that no run resumes
 * silently with other keys.
 */
export const keyVersion = 2;

/** Begins the message about a training checkpoint with another `keyVersion`. */
export const otherKeys =
  'this run was begun by a version of diffusion-dpo that drew other random numbers from its seed';

/** The key of a seed for a purpose, on the host. */
export const hostKeyFor = (seed: number, purpose: KeyPurpose): HostKey => splitKey(hostKey(seed), purposes[purpose]);

/** The key of a seed for a purpose: u32[2], the same two words as on the host. */
export const keyFor = (seed: number, purpose: KeyPurpose): Tensor =>
  tensor(Uint32Array.from(hostKeyFor(seed, purpose)));
