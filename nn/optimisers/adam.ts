import { mapTree } from '../../tensor/index.ts';
import { inDtypeOf, type Optimiser, type OptimiserState, zeroMoment, zipWide } from './optimiser.ts';

/** Options of `adam` and `adamW`. */
export interface AdamOptions {
  /** Decay of the means of gradients and of their squares; default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Default 0 for `adam`, 0.01 for `adamW`. */
  readonly weightDecay?: number;
}

/** The state of `adam` and `adamW`. */
export interface AdamState<P> extends OptimiserState<P> {
  /** Means of gradients, in f32 at least. */
  readonly first: P;
  /** Means of their squares. */
  readonly second: P;
}

/**
 * m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², p ← p − η·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
 * (Kingma & Ba 2015; PyTorch's Adam, where weight decay is added to the gradient).
 */
export const adam = <P>({ weightDecay = 0, ...options }: AdamOptions = {}): Optimiser<P, AdamState<P>> =>
  adamStep({ ...options, weightDecay, decoupled: false });

/** Adam with p ← p·(1 − η·λ) before it, instead of decay in the gradient (Loshchilov & Hutter 2019; PyTorch's AdamW). */
export const adamW = <P>({ weightDecay = 0.01, ...options }: AdamOptions = {}): Optimiser<P, AdamState<P>> =>
  adamStep({ ...options, weightDecay, decoupled: true });

function adamStep<P>({
  betas: [beta1, beta2] = [0.9, 0.999],
  eps = 1e-8,
  weightDecay,
  decoupled,
}: AdamOptions & { readonly weightDecay: number; readonly decoupled: boolean }): Optimiser<P, AdamState<P>> {
  return {
    init: (params) => ({ params, steps: 0, first: mapTree(params, zeroMoment), second: mapTree(params, zeroMoment) }),
    step: (state, gradients, { learningRate }) => {
      const steps = state.steps + 1;
      const decayed =
        decoupled || weightDecay === 0
          ? gradients
          : zipWide((g, p) => g.add(p.mul(weightDecay)), gradients, state.params);
      const first = zipWide((m, g) => m.mul(beta1).add(g.mul(1 - beta1)), state.first, decayed);
      const second = zipWide((v, g) => v.mul(beta2).add(g.square().mul(1 - beta2)), state.second, decayed);
      const rate = learningRate / (1 - beta1 ** steps);
      const root = Math.sqrt(1 - beta2 ** steps);
      const shrink = decoupled ? 1 - learningRate * weightDecay : 1;
      const moved = zipWide(
        (p, m, v) => p.mul(shrink).sub(m.mul(rate).div(v.sqrt().div(root).add(eps))),
        state.params,
        first,
        second,
      );
      return { params: inDtypeOf(state.params, moved), steps, first, second };
    },
  };
}
