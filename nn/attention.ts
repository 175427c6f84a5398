import { concat, ShapeError, scaledDotProductAttention, type Tensor, TensorError, typeOf } from '../tensor/index.ts';
import { linear } from './linear.ts';
import { module } from './module.ts';
import { groupNorm } from './norms.ts';

/** Options of `attention`. */
export interface AttentionOptions {
  /** Width of the tokens that ask. */
  readonly queryDim: number;
  /** Width of the tokens that are looked at, if those are others. */
  readonly contextDim?: number | undefined;
  readonly heads: number;
  /** Width of a head. */
  readonly headDim: number;
  /** Whether queries, keys and values have biases; default false. The projection of the result always has one. */
  readonly bias?: boolean;
  /** How many heads are computed at a time: less memory where attention keeps its scores. Default: all. */
  readonly sliceSize?: number | undefined;
}

const splitHeads = (x: Tensor, heads: number): Tensor => {
  const [batch, tokens, width] = x.shape as readonly [number, number, number];
  return x.reshape([batch, tokens, heads, width / heads]).permute([0, 2, 1, 3]);
};

const joinHeads = (x: Tensor): Tensor => {
  const [batch, heads, tokens, width] = x.shape as readonly [number, number, number, number];
  return x.permute([0, 2, 1, 3]).reshape([batch, tokens, heads * width]);
};

/** Throws unless `x` is [batch, tokens, width]. */
function checkTokens(what: string, x: Tensor, batch: number | 'batch', width: number): void {
  const fits = x.rank === 3 && (batch === 'batch' || x.shape[0] === batch) && x.shape[2] === width;
  if (!fits) throw new ShapeError(`attention: ${what} must be [${batch}, tokens, ${width}], got ${typeOf(x)}`);
}

function checkCounts(counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) {
    if (Number.isInteger(count) && count >= 1) continue;
    throw new TensorError(`attention: ${name} must be a whole number from 1, got ${count}`);
  }
}

/** softmax(q·kᵀ/√d)·v of [batch, heads, tokens, d], a few heads at a time. */
function attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | undefined, sliceSize: number): Tensor {
  const heads = q.shape[1] as number;
  if (sliceSize >= heads) return scaledDotProductAttention(q, k, v, { mask });
  const starts = Array.from({ length: Math.ceil(heads / sliceSize) }, (_, i) => i * sliceSize);
  return concat(
    starts.map((start) => {
      const part = (x: Tensor, axis: number) => x.sliceAxis(axis, start, Math.min(start + sliceSize, heads));
      // A mask that has heads is cut like them; others are the same for all.
      const own = mask !== undefined && (mask.shape.at(-3) ?? 1) > 1 ? part(mask, mask.rank - 3) : mask;
      return scaledDotProductAttention(part(q, 1), part(k, 1), part(v, 1), { mask: own });
    }),
    1,
  );
}

function projections({
  queryDim,
  contextDim = queryDim,
  heads,
  headDim,
  bias = false,
  sliceSize = 1,
}: AttentionOptions) {
  checkCounts({ heads, headDim, sliceSize });
  return {
    to_q: linear(queryDim, heads * headDim, { bias }),
    to_k: linear(contextDim, heads * headDim, { bias }),
    to_v: linear(contextDim, heads * headDim, { bias }),
    to_out: [linear(heads * headDim, queryDim)] as const,
  };
}

type Projection = (x: Tensor) => Tensor;

function attendTokens(
  {
    to_q,
    to_k,
    to_v,
    to_out: [project],
  }: Readonly<Record<'to_q' | 'to_k' | 'to_v', Projection>> & {
    readonly to_out: readonly [Projection];
  },
  { queryDim, contextDim = queryDim, heads, sliceSize = heads }: AttentionOptions,
  x: Tensor,
  context: Tensor,
  mask?: Tensor,
): Tensor {
  checkTokens('tokens', x, 'batch', queryDim);
  checkTokens('the context', context, x.shape[0] as number, contextDim);
  const q = splitHeads(to_q(x), heads);
  const [k, v] = [splitHeads(to_k(context), heads), splitHeads(to_v(context), heads)];
  return project(joinHeads(attend(q, k, v, mask, sliceSize)));
}

/**
 * Multi-head attention of tokens [batch, queries, queryDim] to a context [batch, keys, contextDim], or to themselves
 * (Vaswani et al. 2017; diffusers' Attention). A mask broadcasts to [batch, heads, queries, keys].
 */
export const attention = (options: AttentionOptions) =>
  module(projections(options), (bound, x: Tensor, context: Tensor = x, mask?: Tensor) =>
    attendTokens(bound, options, x, context, mask),
  );

/** Options of `spatialAttention`. */
export interface SpatialAttentionOptions {
  readonly channels: number;
  readonly heads: number;
  /** Width of a head; default: as wide as fits, channels/heads. */
  readonly headDim?: number | undefined;
  /** Of the group normalisation; none without. */
  readonly groups?: number | undefined;
  /** Of the group normalisation; default 1e-5. */
  readonly eps?: number;
  /** What the sum of input and result is divided by; default 1. */
  readonly rescaleOutputFactor?: number;
  readonly sliceSize?: number | undefined;
}

/**
 * Self-attention between the places of images [N, C, H, W], behind a group normalisation, if there is one, and with a
 * residual connection (the attention blocks of DDPM and of autoencoders; diffusers' Attention with `residual_connection`).
 */
export function spatialAttention({
  channels,
  heads,
  headDim = channels / heads,
  groups,
  eps = 1e-5,
  rescaleOutputFactor = 1,
  sliceSize,
}: SpatialAttentionOptions) {
  const options = { queryDim: channels, heads, headDim, bias: true, sliceSize };
  return module(
    {
      group_norm: groups === undefined ? undefined : groupNorm(groups, channels, { eps }),
      ...projections(options),
    },
    (bound, x: Tensor) => {
      const tokens = toTokens(bound.group_norm?.(x) ?? x);
      return fromTokens(attendTokens(bound, options, tokens, tokens), x)
        .add(x)
        .div(rescaleOutputFactor);
    },
  );
}

/** Images [N, C, H, W] as tokens [N, H·W, C], row by row. */
export function toTokens(x: Tensor): Tensor {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  return x.permute([0, 2, 3, 1]).reshape([batch, height * width, channels]);
}

/** Tokens [N, H·W, C] as images of the height and width of `like`. */
export function fromTokens(tokens: Tensor, like: Tensor): Tensor {
  const [batch, , channels] = tokens.shape as readonly [number, number, number];
  const [height, width] = like.shape.slice(2) as [number, number];
  return tokens.reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
}
