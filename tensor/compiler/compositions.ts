import { composedAttention, composedAttentionGradient } from '../ops/composedAttention.ts';
import type { AttentionAttributes } from '../primitives.ts';
import { sourceOf, type Tensor } from '../tensor.ts';

/** Primitives that can be composed of others, for executors that have no kernel for them. */
export type Composite = 'attention' | 'attentionGradient';

const compositions: {
  readonly [P in Composite]: (attributes: AttentionAttributes, ...inputs: readonly Tensor[]) => Tensor;
} = { attention: composedAttention, attentionGradient: composedAttentionGradient };

/** Whether an executor has no kernel for such a primitive with these inputs, so that it must be composed. */
export type IsComposed = (primitive: Composite, inputs: readonly Tensor[]) => boolean;

/** A pending tensor as a composition of other primitives, if it must be composed; else `undefined`. */
export function compositionOf(tensor: Tensor, isComposed: IsComposed): Tensor | undefined {
  const source = sourceOf(tensor);
  if (source.kind !== 'pending') return undefined;
  const { node } = source;
  if (node.primitive !== 'attention' && node.primitive !== 'attentionGradient') return undefined;
  return isComposed(node.primitive, node.inputs)
    ? compositions[node.primitive](node.attributes, ...node.inputs)
    : undefined;
}
