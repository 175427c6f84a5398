import { stopGradient, type Tensor, TensorError, where } from '../../tensor/index.ts';
import type { Objective } from './objective.ts';

/** The sum over everything but the first axis, with the axes kept. */
const inner = (a: Tensor, b: Tensor): Tensor =>
  a.mul(b).sum(a.shape.map((_, axis) => axis).slice(1), { keepDims: true });

/**
 * An objective with the loser's gradient scaled for each pair by clip((1 − μ)·‖g_w‖² / ⟨g_l, g_w⟩, 0, 1) where the two
 * sides' gradients agree, ⟨g_l, g_w⟩ > 0, and left alone elsewhere; g = ∂MSE/∂(model output). What pushes the loser away
 * then cannot push the winner away too. The loss itself is unchanged.
 */
export function safeguard(objective: Objective, { mu = 0.9 }: { readonly mu?: number } = {}): Objective {
  if (!(mu >= 0 && mu <= 1)) throw new TensorError(`safeguard: mu must be a number from 0 to 1, got ${mu}`);
  return {
    ...objective,
    name: `${objective.name} with safeguard`,
    loss: ({ winner, loser }, weight) => {
      // Gradients of the mean squared errors up to one factor, which is the same for both sides.
      const ofWinner = stopGradient(winner.prediction.sub(winner.target));
      const ofLoser = stopGradient(loser.prediction.sub(loser.target));
      const overlap = inner(ofLoser, ofWinner);
      const agree = overlap.greater(0);
      const ratio = inner(ofWinner, ofWinner)
        .mul(1 - mu)
        .div(where(agree, overlap, 1));
      const factor = where(agree, ratio.clamp({ min: 0, max: 1 }), 1);
      const fixed = stopGradient(loser.prediction);
      const prediction = fixed.add(factor.mul(loser.prediction.sub(fixed)));
      return objective.loss({ winner, loser: { ...loser, prediction } }, weight);
    },
  };
}
