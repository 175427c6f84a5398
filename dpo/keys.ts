import { type Tensor, tensor } from '../tensor/index.ts';
import { type HostKey, hostKey, splitKey } from './data/draws.ts';

/**
 * Everything that a seed is used for. The seed's root key is split into one key for each purpose, here and nowhere else, so that
 * no two uses of one seed draw the same numbers; what a purpose needs many keys for is folded into the purpose's key.
 *
 * A purpose keeps its number: it decides what is drawn. Where a number changes, raise `keyVersion`.
 */
const purposes = {
  /** Noise of sampled images, by their number. */
  images: 0,
  /** Noise and time steps of preference training, by micro-batch. */
  training: 1,
  /** Adapters of low rank before training. */
  loraInit: 2,
  /** Noise and time steps for ranking held-out pairs during training. */
  validation: 3,
  /** Parameters of a model that is trained from nothing. */
  modelInit: 4,
  /** Images, captions, noise and time steps of training from nothing, by step. */
  pretraining: 5,
  /** Order of groups of rows, by epoch. */
  groupOrder: 6,
  /** Order of the rows within each group, by epoch. */
  rowOrder: 7,
  /** Crops, flips and dropped captions, by epoch and row. */
  transforms: 8,
  /** Training of the judges that measure samples. */
  judges: 9,
  /** Noise and time steps for ranking held-out pairs in an evaluation. */
  ranking: 10,
  /** Noise and time steps for estimating the KL divergence. */
  kl: 11,
  /** Random directions and choices in the measures of samples. */
  measures: 12,
  /** Resampling for confidence intervals. */
  bootstrap: 13,
} as const;

export type KeyPurpose = keyof typeof purposes;
export const keyPurposes = Object.keys(purposes) as readonly KeyPurpose[];

/** Raised whenever a seed begins to draw other numbers: a run does not go on silently with other keys than it began with. */
export const keyVersion = 2;

/** What is said of a run whose record has another version. */
export const otherKeys =
  'this run was begun by a version of diffusion-dpo that drew other random numbers from its seed';

/** The key that a seed has for a purpose, on the host. */
export const hostKeyFor = (seed: number, purpose: KeyPurpose): HostKey => splitKey(hostKey(seed), purposes[purpose]);

/** The key that a seed has for a purpose: u32[2], the same two words as on the host. */
export const keyFor = (seed: number, purpose: KeyPurpose): Tensor =>
  tensor(Uint32Array.from(hostKeyFor(seed, purpose)));
