import { sigmoid, stopGradient, TensorError } from '../../tensor/index.ts';
import { type DpoOptions, implicitMargin, positive } from './margin.ts';
import type { Objective } from './objective.ts';
import { errorChanges } from './pairs.ts';

/**
 * The mean of [ε_θ^w − ε − β·(1 − σ(u))·(ε_θ^w − ε_ref^w)]² (direct score preference optimisation). Experimental: 1 − σ(u)
 * is held fixed, which was not confirmed against the method's authors' code.
 */
export function dspo({ beta }: DpoOptions): Objective {
  positive('dspo', 'beta', beta);
  return {
    name: 'dspo',
    compares: 'predictions',
    loss: (pairs, weight) => {
      const { prediction, target, reference } = pairs.winner;
      if (reference === undefined)
        throw new TensorError('dspo: the reference model’s prediction is needed, not its error');
      const u = implicitMargin(errorChanges(pairs), beta, weight);
      const pull = stopGradient(sigmoid(u.neg())).mul(beta);
      const perPair = pull.reshape([pull.size, ...prediction.shape.slice(1).map(() => 1)]);
      return prediction
        .sub(target)
        .sub(perPair.mul(prediction.sub(reference)))
        .square()
        .mean();
    },
  };
}
