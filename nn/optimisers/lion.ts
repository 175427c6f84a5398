import { mapTree } from '../../tensor/index.ts';
import { inDtypeOf, type Optimiser, type OptimiserState, zeroMoment, zipWide } from './optimiser.ts';

/** Options of `lion`. */
export interface LionOptions {
  /** Default 0.9 and 0.99. */
  readonly betas?: readonly [number, number];
  /** Default 0. */
  readonly weightDecay?: number;
}

/** The state of `lion`: the means of gradients, in f32 at least. */
export interface LionState<P> extends OptimiserState<P> {
  readonly momentum: P;
}

/** p ← p·(1 − η·λ) − η·sign(β₁·m + (1 − β₁)·g), then m ← β₂·m + (1 − β₂)·g (Chen et al. 2023). */
export function lion<P>({
  betas: [beta1, beta2] = [0.9, 0.99],
  weightDecay = 0,
}: LionOptions = {}): Optimiser<P, LionState<P>> {
  return {
    init: (params) => ({ params, steps: 0, momentum: mapTree(params, zeroMoment) }),
    step: ({ params, steps, momentum }, gradients, { learningRate }) => {
      const moved = zipWide(
        (p, m, g) =>
          p.mul(1 - learningRate * weightDecay).sub(
            m
              .mul(beta1)
              .add(g.mul(1 - beta1))
              .sign()
              .mul(learningRate),
          ),
        params,
        momentum,
        gradients,
      );
      return {
        params: inDtypeOf(params, moved),
        steps: steps + 1,
        momentum: zipWide((m, g) => m.mul(beta2).add(g.mul(1 - beta2)), momentum, gradients),
      };
    },
  };
}
