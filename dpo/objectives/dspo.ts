import { sigmoid, stopGradient, TensorError } from '../../tensor/index.ts';
import { type DpoOptions, implicitMargin } from './margin.ts';
import type { Objective } from './objective.ts';
import { errorChanges } from './pairs.ts';
import { named, positive } from './ranges.ts';

export const dspoPulls = ['differentiated', 'fixed'] as const;

export interface DspoOptions extends DpoOptions {
  /**
   * Whether k = 1 − σ(u) is differentiated, as in the authors' released code for Stable Diffusion 1.5, so that the gradient
   * reaches the loser too, or held fixed, so that only the winner's prediction moves. Default 'differentiated'.
   */
  readonly pull?: (typeof dspoPulls)[number];
}

/**
 * The mean of [ε_θ^w − ε − β·k·(ε_θ^w − ε_ref^w)]² with k = 1 − σ(u): direct score preference optimisation (Zhu et al. 2025), as
 * its authors' code for Stable Diffusion 1.5 computes it. Their script for SDXL minimises something else, without the error
 * ε_θ^w − ε, which is not offered.
 */
export function dspo({ beta, pull = 'differentiated' }: DspoOptions): Objective {
  positive('dspo', 'beta', beta);
  named('dspo', 'pull', pull, dspoPulls);
  return {
    name: 'dspo',
    compares: 'predictions',
    loss: (pairs, weight) => {
      const { prediction, target, reference } = pairs.winner;
      if (reference === undefined)
        throw new TensorError('dspo: the reference model’s prediction is needed, not its error');
      const u = implicitMargin(errorChanges(pairs), beta, weight);
      const k = pull === 'fixed' ? stopGradient(sigmoid(u.neg())) : sigmoid(u.neg());
      const perPair = k.mul(beta).reshape([k.size, ...prediction.shape.slice(1).map(() => 1)]);
      return prediction
        .sub(target)
        .sub(perPair.mul(prediction.sub(reference)))
        .square()
        .mean();
    },
  };
}
