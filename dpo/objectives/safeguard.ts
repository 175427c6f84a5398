import { stopGradient, type Tensor, where } from '../../tensor/index.ts';
import type { Objective } from './objective.ts';
import { named, within } from './ranges.ts';

/** Values of `SafeguardOptions.scope`. */
export const safeguardScopes = ['batch', 'pair'] as const;

/** Options of `safeguard`. */
export interface SafeguardOptions {
  /** μ, from 0 (weakest limit) to 1 (the loser's gradient vanishes where the two agree); default 0.9. */
  readonly mu?: number;
  /** One factor λ for the whole micro-batch, as in the authors' code, or for each pair. Default 'batch'. */
  readonly scope?: (typeof safeguardScopes)[number];
}

/** The authors' code adds this to ⟨g_l, g_w⟩ of a micro-batch. */
const epsilon = 1e-9;

/**
 * Diffusion-SDPO's safeguard on an objective: scales the loser's gradient by λ = clip((1 − μ)·‖g_w‖² / ⟨g_l, g_w⟩, 0, 1) where
 * the two gradients agree, ⟨g_l, g_w⟩ > 0, with g = ∂MSE/∂(model output), and leaves it elsewhere. Raising the loser's error then
 * cannot raise the winner's error too. The value of the loss is unchanged. Norms and products are over a whole micro-batch, with
 * 1e-9 added to the product, or over each pair.
 * @throws TensorError where an option is out of range
 */
export function safeguard(objective: Objective, { mu = 0.9, scope = 'batch' }: SafeguardOptions = {}): Objective {
  within('safeguard', 'mu', mu, 0, 1);
  named('safeguard', 'scope', scope, safeguardScopes);
  /** Inner product over a pair, or over all pairs; keeps the axes. */
  const inner = (a: Tensor, b: Tensor): Tensor =>
    a.mul(b).sum(a.shape.map((_, axis) => axis).slice(scope === 'batch' ? 0 : 1), { keepDims: true });
  return {
    ...objective,
    name: `${objective.name} with safeguard`,
    loss: ({ winner, loser }, weight) => {
      // Gradients of the mean squared errors up to a factor that both sides share, 2/size for a micro-batch.
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
