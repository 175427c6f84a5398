import { type Layer, type SpatialAttentionOptions, spatialAttention } from '../../nn/index.ts';
import { type Tensor, TensorError } from '../../tensor/index.ts';
import {
  boolean,
  type ConfigOf,
  ignored,
  integer,
  integerOrNull,
  integers,
  integerUpTo,
  number,
  oneOf,
  readConfig,
  text,
  texts,
} from '../config.ts';
import type { BlockAttention } from './blocks.ts';
import { type UNetOptions, unet } from './unet.ts';
import { checkDepth, mostLayers, otherUNets, sampleSize } from './unetFields.ts';

export const unet2dModelFields = {
  ...otherUNets,
  sample_size: sampleSize,
  in_channels: integer(3),
  out_channels: integer(3),
  center_input_sample: boolean(false),
  time_embedding_type: oneOf('positional'),
  num_train_timesteps: ignored,
  time_embedding_dim: integerOrNull(null),
  freq_shift: number(0),
  flip_sin_to_cos: boolean(true),
  down_block_types: texts(['DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D']),
  mid_block_type: oneOf('UNetMidBlock2D', null),
  up_block_types: texts(['AttnUpBlock2D', 'AttnUpBlock2D', 'AttnUpBlock2D', 'UpBlock2D']),
  block_out_channels: integers([224, 448, 672, 896]),
  layers_per_block: integerUpTo(mostLayers, 2),
  mid_block_scale_factor: number(1),
  downsample_padding: oneOf(1, 0),
  downsample_type: oneOf('conv'),
  upsample_type: oneOf('conv'),
  dropout: number(0),
  // Of residual blocks: outside of them it is always SiLU.
  act_fn: text('silu'),
  attention_head_dim: integerOrNull(8),
  norm_num_groups: integer(32),
  attn_norm_num_groups: integerOrNull(null),
  norm_eps: number(1e-5),
  resnet_time_scale_shift: oneOf('default', 'scale_shift'),
  add_attention: boolean(true),
  class_embed_type: oneOf(null),
  num_class_embeds: oneOf(null),
} as const;

/** What a `config.json` of diffusers' UNet2DModel says, with its defaults filled in. */
export type UNet2DModelConfig = ConfigOf<typeof unet2dModelFields>;

/** One entry for each block; throws where there are too many or too few, or one is not known. */
export function blockTypes(
  model: string,
  field: string,
  types: readonly string[],
  known: Readonly<Record<string, boolean>>,
  count: number,
) {
  if (types.length !== count)
    throw new TensorError(`${model}: ${field} has ${types.length} entries, but block_out_channels has ${count}`);
  return types.map((type) => {
    if (Object.hasOwn(known, type)) return known[type] === true;
    throw new TensorError(
      `${model}: ${field}: "${type}" is not supported; there are: ${Object.keys(known).join(', ')}`,
    );
  });
}

/** The unconditional UNet of DDPM (Ho et al. 2020; diffusers' UNet2DModel) from its `config.json`. */
export function unet2dModel(json: unknown, options?: UNetOptions) {
  const config = readConfig('UNet2DModel', json, unet2dModelFields);
  const channels = config.block_out_channels;
  const count = channels.length;
  checkDepth('UNet2DModel', count);
  const attention = (width: number, options: Partial<SpatialAttentionOptions> = {}): BlockAttention =>
    spatialAttention({
      channels: width,
      heads: Math.floor(width / (config.attention_head_dim ?? width)),
      headDim: config.attention_head_dim ?? width,
      groups: config.norm_num_groups,
      eps: config.norm_eps,
      ...options,
    }) as Layer<unknown, [x: Tensor]>;
  // In the middle alone there may be another number of groups, or no normalisation.
  const midGroups =
    config.attn_norm_num_groups ?? (config.resnet_time_scale_shift === 'default' ? config.norm_num_groups : undefined);
  const down = blockTypes(
    'UNet2DModel',
    'down_block_types',
    config.down_block_types,
    { DownBlock2D: false, AttnDownBlock2D: true },
    count,
  );
  const up = blockTypes(
    'UNet2DModel',
    'up_block_types',
    config.up_block_types,
    { UpBlock2D: false, AttnUpBlock2D: true },
    count,
  );
  const last = channels.at(-1) as number;
  return unet(
    {
      inChannels: config.in_channels,
      outChannels: config.out_channels,
      down: channels.map((width, i) => ({
        channels: width,
        layers: config.layers_per_block,
        attention: down[i] === true ? () => attention(width) : undefined,
      })),
      up: channels.map((_, i) => ({
        attention: up[i] === true ? () => attention(channels[count - 1 - i] as number) : undefined,
      })),
      mid:
        config.mid_block_type === null
          ? undefined
          : {
              attention: config.add_attention
                ? attention(last, { groups: midGroups, rescaleOutputFactor: config.mid_block_scale_factor })
                : undefined,
              residualBlocks: 2,
              scaleFactor: config.mid_block_scale_factor,
            },
      resnet: {
        embeddingDim: config.time_embedding_dim ?? 4 * (channels[0] as number),
        groups: config.norm_num_groups,
        eps: config.norm_eps,
        activation: config.act_fn,
        timeScaleShift: config.resnet_time_scale_shift,
        dropout: config.dropout,
      },
      outGroups: config.norm_num_groups,
      downsamplePadding: config.downsample_padding,
      convInKernel: 3,
      convOutKernel: 3,
      activation: 'silu',
      time: { flipSinToCos: config.flip_sin_to_cos, downscaleFreqShift: config.freq_shift },
      added: undefined,
      centerInput: config.center_input_sample,
    },
    options,
  );
}
