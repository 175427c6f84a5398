import { stopGradient, type Tensor, where } from '../../tensor/index.ts';
import type { Objective } from './objective.ts';
import { named, within } from './ranges.ts';

export const safeguardScopes = ['batch', 'pair'] as const;

export interface SafeguardOptions {
  /** How far the winner's error may be pushed, from 0 (least limited) to 1 (the loser counts no more where both agree); default 0.9. */
  readonly mu?: number;
  /** What has one factor: the whole micro-batch, as in the authors' released code, or each pair. Default 'batch'. */
  readonly scope?: (typeof safeguardScopes)[number];
}

/** What the authors add to ⟨g_l, g_w⟩ of a micro-batch. */
const epsilon = 1e-9;

/**
 * An objective with the loser's gradient scaled by λ = clip((1 − μ)·‖g_w‖² / ⟨g_l, g_w⟩, 0, 1) where the two sides' gradients
 * agree, ⟨g_l, g_w⟩ > 0, and left alone elsewhere; g = ∂MSE/∂(model output). What pushes the loser away then cannot push the
 * winner away too. The loss itself is unchanged. Norms and products run over a whole micro-batch, with 1e-9 added to the
 * product, or over each pair.
 */
export function safeguard(objective: Objective, { mu = 0.9, scope = 'batch' }: SafeguardOptions = {}): Objective {
  within('safeguard', 'mu', mu, 0, 1);
  named('safeguard', 'scope', scope, safeguardScopes);
  /** The sum over a pair or over all of them, with the axes kept. */
  const inner = (a: Tensor, b: Tensor): Tensor =>
    a.mul(b).sum(a.shape.map((_, axis) => axis).slice(scope === 'batch' ? 0 : 1), { keepDims: true });
  return {
    ...objective,
    name: `${objective.name} with safeguard`,
    loss: ({ winner, loser }, weight) => {
      // Gradients of the mean squared errors but for a factor, 2/size for a micro-batch, which is the same for both sides.
      const ofWinner = stopGradient(winner.prediction.sub(winner.target));
      const ofLoser = stopGradient(loser.prediction.sub(loser.target));
      const overlap = inner(ofLoser, ofWinner);
      const agree = overlap.greater(0);
      const divisor = scope === 'batch' ? overlap.add(epsilon * (ofLoser.size / 2) ** 2) : overlap;
      const ratio = inner(ofWinner, ofWinner)
        .mul(1 - mu)
        .div(where(agree, divisor, 1));
      const factor = where(agree, ratio.clamp({ min: 0, max: 1 }), 1);
      const fixed = stopGradient(loser.prediction);
      const prediction = fixed.add(factor.mul(loser.prediction.sub(fixed)));
      return objective.loss({ winner, loser: { ...loser, prediction } }, weight);
    },
  };
}
