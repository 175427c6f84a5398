import { composedAttention, composedAttentionGradient } from '../ops/composedAttention.ts';
import type { AttentionAttributes } from '../primitives.ts';
import { sourceOf, type Tensor } from '../tensor.ts';

/** Primitives that are other primitives composed, for executors that have no kernel for them. */
export type Composite = 'attention' | 'attentionGradient';

const compositions: {
  readonly [P in Composite]: (attributes: AttentionAttributes, ...inputs: readonly Tensor[]) => Tensor;
} = { attention: composedAttention, attentionGradient: composedAttentionGradient };

/** What a pending tensor is composed of, where it is one of the `composites`. */
export function compositionOf(tensor: Tensor, composites: ReadonlySet<Composite>): Tensor | undefined {
  const source = sourceOf(tensor);
  if (source.kind !== 'pending') return undefined;
  const { node } = source;
  if (node.primitive !== 'attention' && node.primitive !== 'attentionGradient') return undefined;
  return composites.has(node.primitive) ? compositions[node.primitive](node.attributes, ...node.inputs) : undefined;
}
