import { type Layer, transformer2d } from '../../nn/index.ts';
import { type Tensor, TensorError } from '../../tensor/index.ts';
import {
  boolean,
  type ConfigOf,
  either,
  type Field,
  ignored,
  integer,
  integerOrNull,
  integers,
  integersUpTo,
  integerUpTo,
  number,
  oneOf,
  readConfig,
  text,
  texts,
} from '../config.ts';
import type { BlockAttention } from './blocks.ts';
import { type UNetOptions, unet } from './unet.ts';
import { blockTypes } from './unet2dModel.ts';
import { checkDepth, mostLayers, otherUNets, sampleSize } from './unetFields.ts';

/** One number for all blocks, or one for each. */
const perBlock = (fallback: number): Field<number | readonly number[]> => either(integer(fallback), integers([]));

/** Transformer blocks behind each residual block: for all, for each block, or for each residual block of each block. */
type LayerCounts = number | readonly (number | readonly number[])[];
const isCount = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= mostLayers;
const layerCounts =
  <Default extends LayerCounts | null>(fallback: Default): Field<LayerCounts | Default> =>
  (value) => {
    if (value === undefined) return { value: fallback };
    const isNested = (one: unknown) => isCount(one) || (Array.isArray(one) && one.every(isCount));
    if (value === fallback || isCount(value) || (Array.isArray(value) && value.every(isNested)))
      return { value: value as LayerCounts };
    return {
      problem: `must be a whole number of at most ${mostLayers}, or a list of such numbers or of lists of them`,
    };
  };

const booleans: Field<boolean | readonly boolean[]> = either(boolean(false), (value) =>
  Array.isArray(value) && value.every((one) => typeof one === 'boolean')
    ? { value: value as readonly boolean[] }
    : { problem: 'must be a list of true and false' },
);

export const unet2dConditionModelFields = {
  ...otherUNets,
  sample_size: sampleSize,
  in_channels: integer(4),
  out_channels: integer(4),
  center_input_sample: boolean(false),
  flip_sin_to_cos: boolean(true),
  freq_shift: number(0),
  down_block_types: texts(['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D']),
  mid_block_type: oneOf('UNetMidBlock2DCrossAttn', 'UNetMidBlock2D', null),
  up_block_types: texts(['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D']),
  only_cross_attention: booleans,
  // Of another block in the middle, which is refused.
  mid_block_only_cross_attention: ignored,
  block_out_channels: integers([320, 640, 1280, 1280]),
  layers_per_block: either(integerUpTo(mostLayers, 2), integersUpTo(mostLayers, [])),
  downsample_padding: oneOf(1, 0),
  mid_block_scale_factor: number(1),
  dropout: number(0),
  act_fn: text('silu'),
  norm_num_groups: integer(32),
  norm_eps: number(1e-5),
  cross_attention_dim: perBlock(1280),
  transformer_layers_per_block: layerCounts(1),
  reverse_transformer_layers_per_block: layerCounts(null),
  encoder_hid_dim: oneOf(null),
  encoder_hid_dim_type: oneOf(null),
  // Really the number of heads: a mistake that diffusers has kept for the sake of published checkpoints.
  attention_head_dim: perBlock(8),
  num_attention_heads: oneOf(null),
  dual_cross_attention: oneOf(false),
  use_linear_projection: boolean(false),
  class_embed_type: oneOf(null),
  addition_embed_type: oneOf(null, 'text_time'),
  addition_time_embed_dim: integerOrNull(null),
  num_class_embeds: oneOf(null),
  // Attention is computed in f32 at least, whatever the dtype.
  upcast_attention: ignored,
  resnet_time_scale_shift: oneOf('default', 'scale_shift'),
  // Both have a meaning for other types of blocks only.
  resnet_skip_time_act: oneOf(false),
  resnet_out_scale_factor: oneOf(1),
  time_embedding_type: oneOf('positional'),
  time_embedding_dim: integerOrNull(null),
  time_embedding_act_fn: oneOf(null),
  timestep_post_act: oneOf(null),
  time_cond_proj_dim: oneOf(null),
  conv_in_kernel: integer(3),
  conv_out_kernel: integer(3),
  projection_class_embeddings_input_dim: integerOrNull(null),
  attention_type: oneOf('default'),
  class_embeddings_concat: oneOf(false),
  cross_attention_norm: oneOf(null),
  // Of the embedding by name only, which is refused.
  addition_embed_type_num_heads: ignored,
} as const;

/** What a `config.json` of diffusers' UNet2DConditionModel says, with its defaults filled in. */
export type UNet2DConditionModelConfig = ConfigOf<typeof unet2dConditionModelFields>;

const model = 'UNet2DConditionModel';

/** One value for each block. */
function forEachBlock<T>(field: string, value: T | readonly T[], count: number): readonly T[] {
  if (!Array.isArray(value)) return new Array<T>(count).fill(value as T);
  if (value.length === count) return value as readonly T[];
  throw new TensorError(`${model}: ${field} has ${value.length} entries, but block_out_channels has ${count}`);
}

/** The text-conditioned UNet of Stable Diffusion (Rombach et al. 2022; diffusers' UNet2DConditionModel) from its `config.json`. */
export function unet2dConditionModel(json: unknown, options?: UNetOptions) {
  const config = readConfig(model, json, unet2dConditionModelFields);
  const channels = config.block_out_channels;
  const count = channels.length;
  checkDepth(model, count);
  const lists = {
    heads: forEachBlock('attention_head_dim', config.attention_head_dim, count),
    contextDim: forEachBlock('cross_attention_dim', config.cross_attention_dim, count),
    layers: forEachBlock('layers_per_block', config.layers_per_block, count),
    onlyCross: forEachBlock('only_cross_attention', config.only_cross_attention, count),
    transformers: forEachBlock<number | readonly number[]>(
      'transformer_layers_per_block',
      config.transformer_layers_per_block,
      count,
    ),
  };
  checkDepth(
    model,
    count,
    lists.layers.map((layers, i) => {
      const transformers = lists.transformers[i] as number | readonly number[];
      return layers * (1 + (typeof transformers === 'number' ? transformers : Math.max(0, ...transformers)));
    }),
  );
  const reversed = config.reverse_transformer_layers_per_block;
  if (reversed === null && lists.transformers.some(Array.isArray))
    throw new TensorError(
      `${model}: where transformer_layers_per_block has lists in it, reverse_transformer_layers_per_block must be given`,
    );
  const upTransformers =
    reversed === null
      ? [...lists.transformers].reverse()
      : forEachBlock<number | readonly number[]>('reverse_transformer_layers_per_block', reversed, count);

  /** The attention behind residual block `layer` of the block at `level`, counted from the largest images. */
  const attention = (
    level: number,
    counts: number | readonly number[],
    layer: number,
    onlyCross: boolean,
  ): BlockAttention => {
    const width = channels[level] as number;
    const heads = lists.heads[level] as number;
    const layers = typeof counts === 'number' ? counts : counts[layer];
    if (layers === undefined)
      throw new TensorError(
        `${model}: transformer_layers_per_block: [${counts}] has no number for residual block ${layer} of its block`,
      );
    return transformer2d({
      channels: width,
      heads,
      headDim: Math.floor(width / heads),
      layers,
      contextDim: lists.contextDim[level],
      groups: config.norm_num_groups,
      linearProjection: config.use_linear_projection,
      onlyCrossAttention: onlyCross,
    }) as Layer<unknown, [x: Tensor, context?: Tensor, mask?: Tensor]>;
  };
  const down = blockTypes(
    model,
    'down_block_types',
    config.down_block_types,
    { DownBlock2D: false, CrossAttnDownBlock2D: true },
    count,
  );
  const up = blockTypes(
    model,
    'up_block_types',
    config.up_block_types,
    { UpBlock2D: false, CrossAttnUpBlock2D: true },
    count,
  );
  const [last, first] = [count - 1, channels[0] as number];
  return unet(
    {
      inChannels: config.in_channels,
      outChannels: config.out_channels,
      down: channels.map((width, level) => ({
        channels: width,
        layers: lists.layers[level] as number,
        attention:
          down[level] === true
            ? (layer) => attention(level, lists.transformers[level] as number, layer, lists.onlyCross[level] === true)
            : undefined,
      })),
      up: channels.map((_, i) => {
        const level = last - i;
        return {
          attention:
            up[i] === true
              ? (layer: number) => attention(level, upTransformers[i] as number, layer, lists.onlyCross[level] === true)
              : undefined,
        };
      }),
      mid:
        config.mid_block_type === null
          ? undefined
          : config.mid_block_type === 'UNetMidBlock2D'
            ? { residualBlocks: 1, scaleFactor: config.mid_block_scale_factor }
            : {
                attention: attention(last, lists.transformers[last] as number, 0, false),
                residualBlocks: 2,
                scaleFactor: config.mid_block_scale_factor,
              },
      resnet: {
        embeddingDim: config.time_embedding_dim ?? 4 * first,
        groups: config.norm_num_groups,
        eps: config.norm_eps,
        activation: config.act_fn,
        timeScaleShift: config.resnet_time_scale_shift,
        dropout: config.dropout,
      },
      outGroups: config.norm_num_groups,
      downsamplePadding: config.downsample_padding,
      convInKernel: config.conv_in_kernel,
      convOutKernel: config.conv_out_kernel,
      activation: config.act_fn,
      time: { flipSinToCos: config.flip_sin_to_cos, downscaleFreqShift: config.freq_shift },
      added: addedOf(config),
      centerInput: config.center_input_sample,
    },
    options,
  );
}

function addedOf({
  addition_embed_type: kind,
  addition_time_embed_dim: timeWidth,
  projection_class_embeddings_input_dim: inputs,
}: UNet2DConditionModelConfig) {
  if (kind === null) return undefined;
  if (timeWidth !== null && inputs !== null) return { timeWidth, inputs };
  throw new TensorError(
    `${model}: addition_embed_type "text_time" needs addition_time_embed_dim and projection_class_embeddings_input_dim`,
  );
}
