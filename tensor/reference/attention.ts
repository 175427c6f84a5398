import { sizeOf } from '../shape.ts';
import { type Call, input, type Kernels } from './kernel.ts';

type Attention = Call<'attention'> | Call<'attentionGradient'>;

/** Σ a[i]·b[i] of two rows. */
function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** row i of a matrix with rows of `width`, the first at `start`. */
const rowOf = (values: Call<'attention'>['out'], start: number, i: number, width: number) =>
  values.subarray(start + i * width, start + (i + 1) * width);

function sizesOf(call: Attention) {
  const { shape } = input(call as Call<'attention'>, 0).tensor;
  const [queries, dim] = shape.slice(-2) as [number, number];
  const [keys, width] = input(call as Call<'attention'>, 2).tensor.shape.slice(-2) as [number, number];
  return { batch: sizeOf(shape.slice(0, -2)), queries, keys, dim, width };
}

/** softmax(q·kᵀ + bias) of one query, in f64. */
function weightsOf(
  call: Attention,
  bias: Call<'attention'>['out'] | undefined,
  b: number,
  query: number,
): Float64Array {
  const { queries, keys, dim } = sizesOf(call);
  const [q, k] = call.values as readonly [Call<'attention'>['out'], Call<'attention'>['out']];
  const own = rowOf(q, b * queries * dim, query, dim);
  const scores = Float64Array.from({ length: keys }, (_, key) => {
    if (call.attributes.causal && key > query) return Number.NEGATIVE_INFINITY;
    const added = bias === undefined ? 0 : (bias[(b * queries + query) * keys + key] as number);
    return dot(own, rowOf(k, b * keys * dim, key, dim)) + added;
  });
  const largest = scores.reduce((a, score) => Math.max(a, score), Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - (Number.isFinite(largest) ? largest : 0)));
  const total = weights.reduce((a, weight) => a + weight, 0);
  return weights.map((weight) => weight / total);
}

/** Adds a row, times a factor, to sums. */
function addScaled(sums: Float64Array, at: number, row: ArrayLike<number>, factor: number): void {
  for (let i = 0; i < row.length; i++) sums[at + i] = (sums[at + i] as number) + factor * (row[i] as number);
}

function attention(call: Call<'attention'>): void {
  const { batch, queries, keys, width } = sizesOf(call);
  const { values: v } = input(call, 2);
  for (let b = 0; b < batch; b++) {
    for (let query = 0; query < queries; query++) {
      const sums = new Float64Array(width);
      weightsOf(call, call.values[3], b, query).forEach((weight, key) => {
        addScaled(sums, 0, rowOf(v, b * keys * width, key, width), weight);
      });
      call.out.set(sums, (b * queries + query) * width);
    }
  }
}

function attentionGradient(call: Call<'attentionGradient'>): void {
  const { batch, queries, keys, dim, width } = sizesOf(call);
  const [q, k, v, g] = [0, 1, 2, 3].map((i) => input(call, i).values) as [
    Call<'attention'>['out'],
    Call<'attention'>['out'],
    Call<'attention'>['out'],
    Call<'attention'>['out'],
  ];
  const length = queries * dim + keys * dim + keys * width;
  const [byK, byV] = [queries * dim, queries * dim + keys * dim];
  for (let b = 0; b < batch; b++) {
    const sums = new Float64Array(length);
    for (let query = 0; query < queries; query++) {
      const weights = weightsOf(call, call.values[4], b, query);
      const cotangent = rowOf(g, b * queries * width, query, width);
      const byWeights = weights.map((_, key) => dot(cotangent, rowOf(v, b * keys * width, key, width)));
      const mean = dot(weights, byWeights);
      weights.forEach((weight, key) => {
        const byScore = weight * ((byWeights[key] as number) - mean);
        addScaled(sums, query * dim, rowOf(k, b * keys * dim, key, dim), byScore);
        addScaled(sums, byK + key * dim, rowOf(q, b * queries * dim, query, dim), byScore);
        addScaled(sums, byV + key * width, cotangent, weight);
      });
    }
    call.out.set(sums, b * length);
  }
}

export const attentions: Kernels<'attention' | 'attentionGradient'> = { attention, attentionGradient };
