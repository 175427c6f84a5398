import { sigmoid, stopGradient, TensorError } from '../../tensor/index.ts';
import { type DpoOptions, implicitMargin } from './margin.ts';
import type { Objective } from './objective.ts';
import { errorChanges } from './pairs.ts';
import { named, positive } from './ranges.ts';

/** Values of `DspoOptions.pull`. */
export const dspoPulls = ['differentiated', 'fixed'] as const;

/** Options of `dspo`. */
export interface DspoOptions extends DpoOptions {
  /**
   * Treatment of k = 1 − σ(u): differentiated, as in the authors' code for Stable Diffusion 1.5, so that the gradient reaches
   * the loser too, or held fixed, so that it reaches the winner's prediction alone. Default 'differentiated'.
   */
  readonly pull?: (typeof dspoPulls)[number];
}

/**
 * Direct score preference optimisation (Zhu et al. 2025): the mean of [ε_θ^w − ε − β·k·(ε_θ^w − ε_ref^w)]² with k = 1 − σ(u), as
 * in the authors' code for Stable Diffusion 1.5. Their script for SDXL minimises another loss, without the error ε_θ^w − ε.
 * @throws TensorError where an option is out of range, or a batch has the reference's errors but no predictions
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
