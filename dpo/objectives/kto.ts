import { sigmoid, stopGradient } from '../../tensor/index.ts';
import { type DpoOptions, positive } from './margin.ts';
import type { Objective } from './objective.ts';
import { errorChanges } from './pairs.ts';

export interface KtoOptions extends DpoOptions {
  /** w₊ and w₋: weights of preferred and other pictures; default 1. */
  readonly preferredWeight?: number;
  readonly otherWeight?: number;
}

/**
 * For each picture by itself, with y = ±1 for preferred or not: w_y·(1 − σ(y·β·(g − z))), where g = −d and
 * z = max(0, mean g) over all pictures of the batch, without gradient. The mean over all pictures.
 */
export function kto({ beta, preferredWeight = 1, otherWeight = 1 }: KtoOptions): Objective {
  positive('kto', 'beta', beta);
  return {
    name: 'kto',
    compares: 'errors',
    loss: (pairs) => {
      const { winner, loser } = errorChanges(pairs);
      const z = stopGradient(winner.mean().add(loser.mean()).mul(-0.5).maximum(0));
      // 1 − σ(v) = σ(−v)
      const preferred = sigmoid(winner.add(z).mul(beta)).mul(preferredWeight);
      const other = sigmoid(loser.add(z).mul(-beta)).mul(otherWeight);
      return preferred.mean().add(other.mean()).mul(0.5);
    },
  };
}
