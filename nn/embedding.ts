import { random, type Tensor, TensorError, take } from '../tensor/index.ts';
import type { Layer } from './layer.ts';

/** The parameters of an embedding. */
export interface EmbeddingParams {
  /** [count, width] */
  readonly weight: Tensor;
}

/** Rows of a table: ids i32[…] below `count` → [..., width], in the dtype of the table (PyTorch's Embedding). */
export const embedding = (count: number, width: number): Layer<EmbeddingParams> => ({
  init: (key, { dtype = 'f32' } = {}) => ({ weight: random.normal(key, [count, width], { dtype }) }),
  apply: ({ weight, ...others }, ids) => {
    if ('lora' in others) throw new TensorError('embedding: adapters are for linear layers and convolutions only');
    return take(weight, ids, 0);
  },
});
