import { exp, expm1, logSigmoid, ones, type Tensor, where } from '../../tensor/index.ts';
import type { Objective } from './objective.ts';
import { policyErrors } from './pairs.ts';
import { count, notNegative, positive } from './ranges.ts';

/** Options of `mapo`. */
export interface MapoOptions {
  /** b, the weight of the comparison; default 0.1. */
  readonly b?: number;
  /** s, the rate at which φ falls; default ½. */
  readonly s?: number;
  /** T, the number of time steps of the training schedule; default 1000. */
  readonly timesteps?: number;
}

/** φ(z) = s·z / (e^{s·z} − 1) for z ≥ 0, with φ(0) = 1. Computed from e^{−s·z}, since e^{s·z} overflows for large z. */
export function phi(z: Tensor, s: number): Tensor {
  const scaled = z.mul(s);
  const isZero = scaled.equal(0);
  // The unselected branch must be finite too, or its gradient would be NaN.
  const safe = where(isZero, ones(scaled.shape, { dtype: scaled.dtype }), scaled);
  return where(isZero, scaled.mul(-0.5).add(1), safe.mul(exp(safe.neg())).div(expm1(safe.neg()).neg()));
}

/**
 * Margin-aware preference optimisation without a reference model (MaPO, Hong et al. 2024): the mean of
 * MSE_w − b·log σ(T·[φ(MSE_w) − φ(MSE_l)]).
 * @throws TensorError where an option is out of range
 */
export function mapo({ b = 0.1, s = 0.5, timesteps = 1000 }: MapoOptions = {}): Objective {
  notNegative('mapo', 'b', b);
  positive('mapo', 's', s);
  count('mapo', 'timesteps', timesteps);
  return {
    name: 'mapo',
    compares: 'nothing',
    loss: (pairs) => {
      const { winner, loser } = policyErrors(pairs);
      const comparison = logSigmoid(phi(winner, s).sub(phi(loser, s)).mul(timesteps));
      return winner.sub(comparison.mul(b)).mean();
    },
  };
}
