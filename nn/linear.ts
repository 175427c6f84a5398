import { linear as apply, cast, type Tensor } from '../tensor/index.ts';
import { type AffineParams, initAffine } from './initialisers.ts';
import type { Layer } from './layer.ts';
import { addLora } from './lora/adapter.ts';

/**
 * x·Wᵀ + b over the last axis: [..., inputs] → [..., outputs] in the dtype of x (PyTorch's Linear), and what an adapter
 * beside the weight adds.
 */
export const linear = (
  inputs: number,
  outputs: number,
  { bias = true }: { readonly bias?: boolean } = {},
): Layer<AffineParams> => ({
  init: (key, options) => initAffine(key, [outputs, inputs], bias, options),
  apply: ({ weight, bias, lora }, x) =>
    addLora(apply(x, cast(weight, x.dtype), castBias(bias, x)), lora, {
      down: (down) => apply(x, down),
      up: apply,
    }),
});

/** A bias, if there is one, in the dtype of what it is added to. */
export const castBias = (bias: Tensor | undefined, x: Tensor): Tensor | undefined => bias && cast(bias, x.dtype);
