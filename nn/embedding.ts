import { random, type Tensor, take } from '../tensor/index.ts';
import type { Layer } from './layer.ts';

export interface EmbeddingParams {
  /** [count, width] */
  readonly weight: Tensor;
}

/** Rows of a table: ids i32[…] below `count` → [..., width], in the dtype of the table (PyTorch's Embedding). */
export const embedding = (count: number, width: number): Layer<EmbeddingParams> => ({
  init: (key, { dtype = 'f32' } = {}) => ({ weight: random.normal(key, [count, width], { dtype }) }),
  apply: ({ weight }, ids) => take(weight, ids, 0),
});
