import type { Tensor } from '../tensor/index.ts';
import { gelu, geluTanh, quickGelu, split, TensorError } from '../tensor/index.ts';
import { linear } from './linear.ts';
import { module } from './module.ts';

/**
 * How the wide layer is activated: `geglu` multiplies values by activated gates (Shazeer 2020); `geglu-approximate` has
 * no gates in spite of its name, and is x·σ(1.702·x), as in diffusers.
 */
export type FeedForwardActivation = 'geglu' | 'geglu-approximate' | 'gelu' | 'gelu-approximate';

/** Options of `feedForward`. */
export interface FeedForwardOptions {
  readonly width: number;
  readonly outputs?: number;
  /** Of the wide layer; default 4·width. */
  readonly inner?: number;
  /** Default `geglu`. */
  readonly activation?: FeedForwardActivation;
}

/** The first half of what the projection gives is the value, the second the gate: value·gelu(gate). */
function geglu(projected: Tensor): Tensor {
  const [value, gate] = split(projected, 2, -1) as [Tensor, Tensor];
  return value.mul(gelu(gate));
}

/** Two linear layers over the last axis with an activation between (diffusers' FeedForward). */
export function feedForward({ width, outputs = width, inner = 4 * width, activation = 'geglu' }: FeedForwardOptions) {
  const activations: Readonly<Record<FeedForwardActivation, (x: Tensor) => Tensor>> = {
    geglu,
    'geglu-approximate': quickGelu,
    gelu,
    'gelu-approximate': geluTanh,
  };
  if (!Object.hasOwn(activations, activation)) {
    throw new TensorError(
      `feedForward: activation '${activation}' is not known; there are: ${Object.keys(activations).join(', ')}`,
    );
  }
  const wide = activation === 'geglu' ? 2 * inner : inner;
  // The second place of the list is diffusers' dropout, which has no parameters.
  return module(
    { net: [module({ proj: linear(width, wide) }, ({ proj }, x: Tensor) => proj(x)), {}, linear(inner, outputs)] },
    ({ net: [expand, , contract] }, x: Tensor) => contract(activations[activation](expand(x))),
  );
}
