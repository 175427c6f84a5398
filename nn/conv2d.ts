import { type Conv2dOptions as ApplyOptions, conv2d as apply, cast } from '../tensor/index.ts';
import { type AffineParams, initAffine } from './initialisers.ts';
import type { Layer } from './layer.ts';
import { castBias } from './linear.ts';
import { addLora } from './lora/adapter.ts';

/** Options of `conv2d`: stride, padding, dilation, groups and whether it has a bias. */
export interface Conv2dOptions extends Omit<ApplyOptions, 'bias'> {
  /** Whether there is a bias; default true. */
  readonly bias?: boolean;
}

/**
 * Convolution of images [N, inputs, H, W] → [N, outputs, H′, W′] with a square kernel (PyTorch's Conv2d), and what an
 * adapter beside the weight adds.
 */
export const conv2d = (
  inputs: number,
  outputs: number,
  kernel: number,
  { bias = true, ...options }: Conv2dOptions = {},
): Layer<AffineParams> => ({
  init: (key, init) => initAffine(key, [outputs, inputs / (options.groups ?? 1), kernel, kernel], bias, init),
  apply: ({ weight, bias, lora }, x) =>
    addLora(apply(x, cast(weight, x.dtype), { ...options, bias: castBias(bias, x) }), lora, {
      // An adapter has no groups: beside a convolution that has some, its shape is refused here.
      down: (down) => apply(x, down, { ...options, groups: 1 }),
      up: apply,
    }),
});
