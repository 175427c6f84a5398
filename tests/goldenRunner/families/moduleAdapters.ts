import { clipEncoderLayer } from '../../../diffusion/index.ts';
import {
  attention,
  basicTransformerBlock,
  downsample2d,
  type FeedForwardActivation,
  feedForward,
  type Layer,
  resnetBlock,
  spatialAttention,
  timestepMlp,
  transformer2d,
  upsample2d,
} from '../../../nn/index.ts';
import type { Tensor } from '../../../tensor/index.ts';
import type { Params } from '../params.ts';

/** A layer, and the names of its tensor arguments in their order. */
export interface Adapted {
  readonly layer: Layer<unknown, readonly (Tensor | undefined)[], Tensor>;
  readonly inputs: readonly string[];
}

// The inputs of a case fit the layer that its class names.
const adapt = <P, I extends readonly unknown[]>(layer: Layer<P, I, Tensor>, ...inputs: readonly string[]): Adapted => ({
  layer: layer as unknown as Adapted['layer'],
  inputs,
});

const heads = (params: Params) => ({
  heads: params.integer('num_attention_heads'),
  headDim: params.integer('attention_head_dim'),
  contextDim: params.integer('cross_attention_dim'),
});

function adaptAttention(params: Params): Adapted {
  const [queryDim, count] = [params.integer('query_dim'), params.integer('heads')];
  if (!params.has('_from_deprecated_attn_block')) {
    const contextDim = params.integer('cross_attention_dim', queryDim);
    const options = { queryDim, contextDim, heads: count, headDim: params.integer('dim_head') };
    const layer = attention({ ...options, bias: params.boolean('bias') });
    return adapt(layer, 'hidden_states', ...(contextDim === queryDim ? [] : ['encoder_hidden_states']));
  }
  params.states('_from_deprecated_attn_block', true);
  params.states('residual_connection', true);
  params.states('bias', true);
  params.states('upcast_softmax', true);
  params.states('dim_head', queryDim / count);
  const layer = spatialAttention({
    channels: queryDim,
    heads: count,
    groups: params.integer('norm_num_groups'),
    eps: params.number('eps'),
    rescaleOutputFactor: params.number('rescale_output_factor'),
  });
  return adapt(layer, 'hidden_states');
}

/** Layers by the names that diffusers and transformers give them, from the arguments of their constructors. */
export const moduleAdapters: Readonly<Record<string, (params: Params) => Adapted>> = {
  ResnetBlock2D: (params) => {
    const embeddingDim = params.integer('temb_channels', 0);
    const layer = resnetBlock({
      inputs: params.integer('in_channels'),
      outputs: params.integer('out_channels'),
      embeddingDim: embeddingDim === 0 ? undefined : embeddingDim,
      groups: params.integer('groups'),
      eps: params.number('eps'),
      activation: params.text('non_linearity'),
      timeScaleShift: params.oneOf('time_embedding_norm', ['default', 'scale_shift'], 'default'),
      outputScaleFactor: params.number('output_scale_factor', 1),
    });
    return adapt(layer, 'hidden_states', ...(embeddingDim === 0 ? [] : ['temb']));
  },
  Downsample2D: (params) => {
    const channels = params.integer('channels');
    params.states('out_channels', channels);
    params.states('name', 'op');
    const convolution = params.boolean('use_conv');
    return adapt(
      downsample2d(channels, { convolution, padding: params.integer('padding', 1) as 0 | 1 }),
      'hidden_states',
    );
  },
  Upsample2D: (params) => {
    const channels = params.integer('channels');
    params.states('out_channels', channels);
    const layer = upsample2d(channels, { convolution: params.boolean('use_conv') });
    const [height, width] = params.integers('output_size', []);
    if (height === undefined || width === undefined) return adapt(layer, 'hidden_states');
    return adapt(
      { init: layer.init, apply: (own, x: Tensor) => layer.apply(own, x, [height, width]) },
      'hidden_states',
    );
  },
  Attention: adaptAttention,
  FeedForward: (params) =>
    adapt(
      feedForward({
        width: params.integer('dim'),
        activation: params.text('activation_fn') as FeedForwardActivation,
      }),
      'hidden_states',
    ),
  BasicTransformerBlock: (params) =>
    adapt(
      basicTransformerBlock({ width: params.integer('dim'), ...heads(params) }),
      'hidden_states',
      'encoder_hidden_states',
    ),
  Transformer2DModel: (params) =>
    adapt(
      transformer2d({
        channels: params.integer('in_channels'),
        layers: params.integer('num_layers'),
        groups: params.integer('norm_num_groups'),
        linearProjection: params.boolean('use_linear_projection'),
        ...heads(params),
      }),
      'hidden_states',
      'encoder_hidden_states',
    ),
  TimestepEmbedding: (params) =>
    adapt(
      timestepMlp(params.integer('in_channels'), params.integer('time_embed_dim'), {
        activation: params.text('act_fn'),
      }),
      'sample',
    ),
  CLIPEncoderLayer: (params) =>
    adapt(
      clipEncoderLayer({
        width: params.integer('hidden_size'),
        heads: params.integer('num_attention_heads'),
        inner: params.integer('intermediate_size'),
        activation: params.text('hidden_act'),
        eps: 1e-5,
      }),
      'hidden_states',
    ),
};
