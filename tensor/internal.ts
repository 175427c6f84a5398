/**
 * The inner door of this layer: what `autograd`, its gradient checks, `bench/` and the tests need besides `index.ts`.
 * The package does not export it.
 */
export { topologicalOrder } from './graph.ts';
export { composedAttention, composedAttentionGradient } from './ops/composedAttention.ts';
export { adjointKernel, dilated } from './ops/conv.ts';
export { makeNode, nextTensorId, sourceOf } from './tensor.ts';
