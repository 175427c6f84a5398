import { isHalf } from '../dtype.ts';
import { ShapeError, TensorError } from '../errors.ts';
import { type Tensor, typeOf } from '../tensor.ts';
import { softmax } from './activations.ts';
import { add, lessEqual, mul, where } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { transpose } from './movement.ts';
import { cast, checkFloat, iota } from './operands.ts';

export interface AttentionOptions {
  /** Broadcasts to [batch…, queries, keys]. bool: true where a query may see a key; float: added to the scores. */
  readonly mask?: Tensor | undefined;
  /** Query i sees keys 0 to i only. */
  readonly causal?: boolean;
  /** What scores are multiplied by; default 1/√dim. */
  readonly scale?: number | undefined;
}

/**
 * softmax(q·kᵀ·scale + mask)·v (Vaswani et al. 2017, equation 1). q: [batch…, queries, dim], k: [batch…, keys, dim],
 * v: [batch…, keys, width] → [batch…, queries, width]. A query that may see no key at all gets NaN.
 */
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  checkFloat('scaledDotProductAttention', q);
  const [queries, dim] = q.shape.slice(-2);
  const [keys, dimK] = k.shape.slice(-2);
  if (q.rank < 2 || k.rank < 2 || v.rank < 2 || dim !== dimK || keys !== v.shape.at(-2)) {
    throw new ShapeError(
      `scaledDotProductAttention: q ${typeOf(q)}, k ${typeOf(k)} and v ${typeOf(v)} must be [batch…, queries, dim], ` +
        '[batch…, keys, dim] and [batch…, keys, width]',
    );
  }
  if (k.dtype !== q.dtype || v.dtype !== q.dtype) {
    throw new TensorError(
      `scaledDotProductAttention: dtypes differ: ${typeOf(q)}, ${typeOf(k)} and ${typeOf(v)}; cast some of them`,
    );
  }
  if (isHalf(q.dtype)) {
    const wide = scaledDotProductAttention(cast(q, 'f32'), cast(k, 'f32'), cast(v, 'f32'), {
      ...options,
      mask: options.mask === undefined || options.mask.dtype === 'bool' ? options.mask : cast(options.mask, 'f32'),
    });
    return cast(wide, q.dtype);
  }
  const { mask, causal = false, scale = 1 / Math.sqrt(dim as number) } = options;
  let scores = matmul(mul(q, scale), transpose(k));
  if (mask !== undefined) {
    if (mask.dtype !== 'bool' && mask.dtype !== q.dtype) {
      throw new TensorError(`scaledDotProductAttention: a mask is bool or ${q.dtype}, got ${typeOf(mask)}`);
    }
    scores = mask.dtype === 'bool' ? where(mask, scores, Number.NEGATIVE_INFINITY) : add(scores, mask);
  }
  if (causal) {
    const shape = [queries as number, keys as number];
    scores = where(lessEqual(iota(shape, 1, 'i32'), iota(shape, 0, 'i32')), scores, Number.NEGATIVE_INFINITY);
  }
  return matmul(softmax(scores), v);
}
