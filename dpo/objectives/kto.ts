import { sigmoid, stopGradient, TensorError } from '../../tensor/index.ts';
import type { DpoOptions } from './margin.ts';
import type { Objective } from './objective.ts';
import { errorChanges } from './pairs.ts';
import { notNegative, positive } from './ranges.ts';

/** Options of `kto`. */
export interface KtoOptions extends DpoOptions {
  /** w₊ and w₋, the weights of preferred and other images; default 1. */
  readonly preferredWeight?: number;
  readonly otherWeight?: number;
}

/**
 * Diffusion-KTO (Li et al. 2024) on single images labelled y = 1 (preferred) or −1: the mean of w_y·(1 − σ(y·β·(g − z))) over all
 * images of the batch, where g = −d and z = max(0, mean g), without gradient. The numbers of preferred and other images may differ.
 * @throws TensorError where an option is out of range, or both weights are 0
 */
export function kto({ beta, preferredWeight = 1, otherWeight = 1 }: KtoOptions): Objective {
  positive('kto', 'beta', beta);
  notNegative('kto', 'preferredWeight', preferredWeight);
  notNegative('kto', 'otherWeight', otherWeight);
  if (preferredWeight === 0 && otherWeight === 0)
    throw new TensorError('kto: preferredWeight and otherWeight are both 0, so nothing would be learnt');
  return {
    name: 'kto',
    compares: 'errors',
    loss: (pairs) => {
      const { winner, loser } = errorChanges(pairs);
      const all = winner.size + loser.size;
      const z = stopGradient(winner.sum().add(loser.sum()).div(-all).maximum(0));
      // 1 − σ(v) = σ(−v)
      const preferred = sigmoid(winner.add(z).mul(beta)).mul(preferredWeight);
      const other = sigmoid(loser.add(z).mul(-beta)).mul(otherWeight);
      return preferred.sum().add(other.sum()).div(all);
    },
  };
}
