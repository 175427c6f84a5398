import { type Tensor, TensorError } from '../tensor/index.ts';
import { type AttentionOptions, attention, fromTokens, toTokens } from './attention.ts';
import { conv2d } from './conv2d.ts';
import { type FeedForwardActivation, feedForward } from './feedForward.ts';
import { linear } from './linear.ts';
import { module } from './module.ts';
import { groupNorm, layerNorm } from './norms.ts';

/** Options of `basicTransformerBlock`. */
export interface TransformerBlockOptions extends Pick<AttentionOptions, 'heads' | 'headDim' | 'sliceSize'> {
  readonly width: number;
  /** Width of the context; without one there is no cross-attention. */
  readonly contextDim?: number | undefined;
  /** Whether the first attention looks at the context too, instead of at the tokens; default false. */
  readonly onlyCrossAttention?: boolean;
  readonly feedForwardActivation?: FeedForwardActivation;
}

/**
 * Self-attention, cross-attention and a feed-forward layer, each behind a layer normalisation and with a residual
 * connection: tokens [batch, tokens, width], context [batch, keys, contextDim] → tokens (diffusers' BasicTransformerBlock).
 */
export function basicTransformerBlock({
  width,
  contextDim,
  heads,
  headDim,
  sliceSize,
  onlyCrossAttention = false,
  feedForwardActivation = 'geglu',
}: TransformerBlockOptions) {
  const own = { queryDim: width, heads, headDim, sliceSize };
  return module(
    {
      norm1: layerNorm(width),
      attn1: attention(onlyCrossAttention ? { ...own, contextDim } : own),
      norm2: contextDim === undefined ? undefined : layerNorm(width),
      attn2: contextDim === undefined ? undefined : attention({ ...own, contextDim }),
      norm3: layerNorm(width),
      ff: feedForward({ width, activation: feedForwardActivation }),
    },
    ({ norm1, attn1, norm2, attn2, norm3, ff }, x: Tensor, context?: Tensor, mask?: Tensor): Tensor => {
      // Without this, attention would take the tokens for the context wherever their widths agree.
      if (contextDim !== undefined && context === undefined)
        throw new TensorError(`basicTransformerBlock: this block needs a context [batch, tokens, ${contextDim}]`);
      const first = onlyCrossAttention ? attn1(norm1(x), context, mask) : attn1(norm1(x));
      let h = x.add(first);
      if (norm2 !== undefined && attn2 !== undefined) h = h.add(attn2(norm2(h), context, mask));
      return h.add(ff(norm3(h)));
    },
  );
}

/** Options of `transformer2d`. */
export interface Transformer2dOptions extends Omit<TransformerBlockOptions, 'width'> {
  readonly channels: number;
  readonly layers: number;
  readonly groups: number;
  /** Whether channels are projected by a linear layer on tokens (SDXL) or a 1 × 1 convolution on the image (SD 1.5). */
  readonly linearProjection: boolean;
}

/**
 * Transformer blocks on the places of images [N, channels, H, W], with a residual connection around them; the group
 * normalisation before has eps 1e-6 (diffusers' Transformer2DModel).
 */
export function transformer2d({ channels, layers, groups, linearProjection, ...block }: Transformer2dOptions) {
  const width = block.heads * block.headDim;
  const projection = (inputs: number, outputs: number) =>
    linearProjection ? linear(inputs, outputs) : conv2d(inputs, outputs, 1);
  return module(
    {
      norm: groupNorm(groups, channels, { eps: 1e-6 }),
      proj_in: projection(channels, width),
      transformer_blocks: Array.from({ length: layers }, () => basicTransformerBlock({ ...block, width })),
      proj_out: projection(width, channels),
    },
    ({ norm, proj_in, transformer_blocks, proj_out }, x: Tensor, context?: Tensor, mask?: Tensor): Tensor => {
      const normal = norm(x);
      let tokens = linearProjection ? proj_in(toTokens(normal)) : toTokens(proj_in(normal));
      for (const one of transformer_blocks) tokens = one(tokens, context, mask);
      const result = linearProjection ? fromTokens(proj_out(tokens), x) : proj_out(fromTokens(tokens, x));
      return result.add(x);
    },
  );
}
