import { random, type Tensor, TensorError, where } from '../tensor/index.ts';

/**
 * Each element is 0 with probability `rate`, and x/(1 − rate) otherwise (Srivastava et al. 2014). Without a key, outside
 * training, x is left alone.
 */
export function dropout(x: Tensor, rate: number, key: Tensor | undefined): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new TensorError(`dropout: rate must be at least 0 and below 1, got ${rate}`);
  if (rate === 0 || key === undefined) return x;
  return where(random.bernoulli(key, rate, x.shape), 0, x.div(1 - rate));
}
