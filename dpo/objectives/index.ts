/**
 * The losses of preference training, each with its equation. An objective (`objective.ts`) is a function of the predictions for both
 * sides of a batch of pairs; autograd differentiates it.
 *
 *   pairs             predictions for both sides of a pair, and their errors MSE_θ, MSE_ref and d = MSE_θ − MSE_ref
 *   timestepWeights   W_t, the weight of a time step in the margin
 *   margin            u, the implicit reward margin, and its objectives: dpo, cdpo, robust, hinge, dmpo, dpo+sft; also ipo and sft
 *   kto, mapo, dspo   objectives of other forms
 *   safeguard         a modifier of objectives, which limits the loser's gradient
 *   metrics           metrics of each pair
 *   lossAtReference   the loss at the start of tuning
 *   ranges            checks of options
 */
export { type DspoOptions, dspo, dspoPulls } from './dspo.ts';
export { type KtoOptions, kto } from './kto.ts';
export { lossAtReference } from './lossAtReference.ts';
export { type MapoOptions, mapo } from './mapo.ts';
export {
  cdpo,
  type DpoOptions,
  dmpo,
  dpo,
  dpoSft,
  flowDpo,
  hinge,
  implicitMargin,
  ipo,
  robust,
  sft,
} from './margin.ts';
export { correctness, type PairMetrics, pairMetrics } from './metrics.ts';
export type { Objective, TimestepWeight } from './objective.ts';
export {
  type ErrorChanges,
  errorChanges,
  meanSquaredError,
  type PairOutput,
  type PolicyErrors,
  policyErrors,
  referenceError,
  type SideOutput,
} from './pairs.ts';
export { type SafeguardOptions, safeguard, safeguardScopes } from './safeguard.ts';
export {
  type TimestepWeightName,
  type TimestepWeightOptions,
  timestepWeightNames,
  timestepWeights,
} from './timestepWeights.ts';
