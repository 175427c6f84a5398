import { type AttentionAttributes, reshape, sizeOf, split, type Tensor } from '../tensor/index.ts';
import { composedAttention, makeNode } from '../tensor/internal.ts';
import type { Rule } from './rule.ts';

/** The gradients of q, k and v, split from the row that one primitive computes. */
function gradientsOf(inputs: readonly Tensor[], g: Tensor, attributes: AttentionAttributes): readonly Tensor[] {
  const [q, k, v, ...bias] = inputs as readonly [Tensor, Tensor, Tensor, ...Tensor[]];
  const batch = q.shape.slice(0, -2);
  const sizes = [q, k, v].map(({ shape }) => sizeOf(shape.slice(-2)));
  const length = sizes.reduce((sum, size) => sum + size, 0);
  const row = makeNode('attentionGradient', [q, k, v, g, ...bias], attributes, [...batch, length], q.dtype);
  return split(row, sizes, -1).map((part, i) => reshape(part, (inputs[i] as Tensor).shape));
}

/**
 * The gradients of q, k and v recompute the scores instead of keeping them. A gradient of the bias is as large as the
 * scores, so the composed form computes it.
 */
export const attentionRule: Rule<'attention'> = ({ cotangent, inputs, attributes, composed }) => {
  let gradients: readonly Tensor[] | undefined;
  const recomputed = (i: number) => (): Tensor => {
    gradients ??= gradientsOf(inputs, cotangent, attributes);
    return gradients[i] as Tensor;
  };
  const whole = composed((...tensors) => composedAttention(attributes, ...tensors));
  return [recomputed(0), recomputed(1), recomputed(2), ...whole.slice(3)];
};
