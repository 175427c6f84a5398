import type { AttentionAttributes } from '../primitives.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { softmax } from './activations.ts';
import { add, lessEqual, mul, sub, where } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { concat, reshape, transpose } from './movement.ts';
import { iota } from './operands.ts';
import { sum } from './reductions.ts';

/** softmax(q·kᵀ + bias): [batch…, queries, keys]. */
function weightsOf(q: Tensor, k: Tensor, bias: Tensor | undefined, { causal }: AttentionAttributes): Tensor {
  const products = matmul(q, transpose(k));
  const scores = bias === undefined ? products : add(products, bias);
  if (!causal) return softmax(scores);
  const shape = [q.shape.at(-2) as number, k.shape.at(-2) as number];
  const seen = lessEqual(iota(shape, 1, 'i32'), iota(shape, 0, 'i32'));
  return softmax(where(seen, scores, Number.NEGATIVE_INFINITY));
}

/**
 * The primitive `attention` composed of others, with the whole matrix of scores in memory. Second derivatives and
 * executors without an attention kernel use it.
 */
export function composedAttention(attributes: AttentionAttributes, ...inputs: readonly Tensor[]): Tensor {
  const [q, k, v, bias] = inputs as readonly [Tensor, Tensor, Tensor, Tensor | undefined];
  return matmul(weightsOf(q, k, bias, attributes), v);
}

/** The primitive `attentionGradient` composed of others. */
export function composedAttentionGradient(attributes: AttentionAttributes, ...inputs: readonly Tensor[]): Tensor {
  const [q, k, v, g, bias] = inputs as readonly [Tensor, Tensor, Tensor, Tensor, Tensor | undefined];
  const weights = weightsOf(q, k, bias, attributes);
  // ∂L/∂P = g·vᵀ, and through the softmax ∂L/∂S = P∘(∂L/∂P − Σ P∘∂L/∂P).
  const byWeights = matmul(g, transpose(v));
  const mean = sum(mul(weights, byWeights), -1, { keepDims: true });
  const byScores = mul(weights, sub(byWeights, mean));
  const gradients = [matmul(byScores, k), matmul(transpose(byScores), q), matmul(transpose(weights), g)];
  const rows = gradients.map((x) => reshape(x, [...x.shape.slice(0, -2), sizeOf(x.shape.slice(-2))]));
  return concat(rows, -1);
}
