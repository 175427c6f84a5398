import type { Tensor } from '../../tensor/index.ts';

/**
 * What is added to a weight W: (alpha/r)·B·A, of rank r (Hu et al. 2021, "LoRA"). `alpha` is a number beside the tensors, so
 * a tree of adapters can be differentiated, stepped and averaged like any other parameters.
 */
export interface LoraAdapter {
  /** A: [r, inputs] beside a linear layer, [r, inputs, …kernel] beside a convolution. */
  readonly down: Tensor;
  /** B: [outputs, r], or [outputs, r, 1, 1]. */
  readonly up: Tensor;
  readonly alpha: number;
}

/** Adapters by the paths of their layers, such as `mid_block.attentions.0.transformer_blocks.0.attn1.to_q`. */
export type LoraAdapters = Readonly<Record<string, LoraAdapter>>;

/** alpha/r: the factor of B·A. */
export const loraScale = ({ down, alpha }: LoraAdapter): number => alpha / (down.shape[0] as number);

/**
 * W·x + (alpha/r)·B·(A·x) from y = W·x: two thin products, and no second weight of full size. Without an adapter it is y.
 * `down` applies A to what W is applied to; `up` applies B.
 */
export function addLora(
  y: Tensor,
  adapter: LoraAdapter | undefined,
  { down, up }: { down(weight: Tensor): Tensor; up(hidden: Tensor, weight: Tensor): Tensor },
): Tensor {
  if (adapter === undefined) return y;
  const hidden = down(adapter.down.cast(y.dtype)).mul(loraScale(adapter));
  return y.add(up(hidden, adapter.up.cast(y.dtype)));
}
