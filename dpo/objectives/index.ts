/**
 * What training minimises, each objective beside its equation.
 *
 *   pairs             what the models say of both sides of a pair, and their errors
 *   margin            u, the implicit reward margin, and the objectives made of it: dpo, cdpo, robust, hinge, dmpo, ipo, sft
 *   kto, mapo, dspo   objectives of other forms
 *   safeguard         a modifier: the loser's gradient is kept from undoing the winner's
 *   metrics           what is watched
 *   lossAtReference   the loss where tuning begins
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
