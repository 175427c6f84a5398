import { isHalf } from '../dtype.ts';
import { ShapeError, TensorError } from '../errors.ts';
import { broadcastShapes } from '../shape.ts';
import { makeNode, type Tensor, typeOf } from '../tensor.ts';
import { composedAttention } from './composedAttention.ts';
import { mul, where } from './elementwise.ts';
import { broadcastTo, cast, checkFloat, constant } from './operands.ts';

/** Options of `scaledDotProductAttention`. */
export interface AttentionOptions {
  /** Broadcasts to [batch…, queries, keys]. bool: true where a query attends to a key; float: added to the scores. */
  readonly mask?: Tensor | undefined;
  /** Query i attends to keys 0 to i only. */
  readonly causal?: boolean;
  /** The factor of q·kᵀ; default 1/√dim. */
  readonly scale?: number | undefined;
}

/**
 * softmax(q·kᵀ·scale + mask)·v (Vaswani et al. 2017, equation 1; PyTorch's `scaled_dot_product_attention`).
 * q: [batch…, queries, dim], k: [batch…, keys, dim], v: [batch…, keys, width], all of the same float dtype →
 * [batch…, queries, width]. A query whose keys are all masked gets NaN.
 * @throws ShapeError for shapes that do not fit, TensorError for dtypes that differ
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
  if (mask !== undefined && mask.dtype !== 'bool' && mask.dtype !== q.dtype) {
    throw new TensorError(`scaledDotProductAttention: a mask is bool or ${q.dtype}, got ${typeOf(mask)}`);
  }
  const operator = 'scaledDotProductAttention';
  const batch = broadcastShapes(
    operator,
    ...[q, k, v, ...(mask === undefined ? [] : [mask])].map(({ shape }) => shape.slice(0, -2)),
  );
  const across = (x: Tensor): Tensor => broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
  const inputs = [across(mul(q, scale)), across(k), across(v)];
  if (mask !== undefined) {
    const bias = mask.dtype === 'bool' ? where(mask, constant(0, mask.shape, q.dtype), Number.NEGATIVE_INFINITY) : mask;
    inputs.push(broadcastTo(bias, [...batch, queries as number, keys as number]));
  }
  const attributes = { causal };
  // Attention kernels do not handle empty inputs.
  if (inputs.some(({ size }) => size === 0)) return composedAttention(attributes, ...inputs);
  return makeNode('attention', inputs, attributes, [...batch, queries as number, v.shape.at(-1) as number], q.dtype);
}
