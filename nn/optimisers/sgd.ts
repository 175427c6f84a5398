import { mapTree } from '../../tensor/index.ts';
import { inDtypeOf, type Optimiser, type OptimiserState, zeroMoment, zipWide } from './optimiser.ts';

/** Options of `sgd`. */
export interface SgdOptions {
  /** Default 0. */
  readonly momentum?: number;
  readonly nesterov?: boolean;
  /** Added to the gradient, times the parameter; default 0. */
  readonly weightDecay?: number;
}

/** The state of `sgd`. */
export interface SgdState<P> extends OptimiserState<P> {
  /** Sums of decaying gradients; none without momentum. */
  readonly velocity: P | undefined;
}

/** Stochastic gradient descent with momentum: v ← μ·v + g, p ← p − η·v (PyTorch's SGD, dampening 0). */
export function sgd<P>({
  momentum = 0,
  nesterov = false,
  weightDecay = 0,
}: SgdOptions = {}): Optimiser<P, SgdState<P>> {
  return {
    init: (params) => ({ params, steps: 0, velocity: momentum === 0 ? undefined : mapTree(params, zeroMoment) }),
    step: ({ params, steps, velocity: old }, gradients, { learningRate }) => {
      const decayed = weightDecay === 0 ? gradients : zipWide((g, p) => g.add(p.mul(weightDecay)), gradients, params);
      const velocity = old && zipWide((v, g) => v.mul(momentum).add(g), old, decayed);
      const direction =
        velocity === undefined
          ? decayed
          : nesterov
            ? zipWide((g, v) => g.add(v.mul(momentum)), decayed, velocity)
            : velocity;
      const moved = zipWide((p, d) => p.sub(d.mul(learningRate)), params, direction);
      return { params: inDtypeOf(params, moved), steps: steps + 1, velocity };
    },
  };
}
