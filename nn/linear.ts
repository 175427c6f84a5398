import { linear as apply, cast, type Tensor } from '../tensor/index.ts';
import { type AffineParams, initAffine } from './initialisers.ts';
import type { Layer } from './layer.ts';

/** x·Wᵀ + b over the last axis: [..., inputs] → [..., outputs] in the dtype of x (PyTorch's Linear). */
export const linear = (
  inputs: number,
  outputs: number,
  { bias = true }: { readonly bias?: boolean } = {},
): Layer<AffineParams> => ({
  init: (key, options) => initAffine(key, [outputs, inputs], bias, options),
  apply: ({ weight, bias }, x) => apply(x, cast(weight, x.dtype), castBias(bias, x)),
});

/** A bias, if there is one, in the dtype of what it is added to. */
export const castBias = (bias: Tensor | undefined, x: Tensor): Tensor | undefined => bias && cast(bias, x.dtype);
