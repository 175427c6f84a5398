import { TensorError } from '../../tensor/index.ts';
import { type Field, ignoredFields } from '../config.ts';

/** Limits of what configurations may ask for, far beyond any published model: a file that asks for more is broken or hostile. */
export const mostBlocks = 32;
export const mostLayers = 128;
/** Of residual and transformer blocks together. */
const mostLayersInAll = 4096;
const largestSample = 4096;

const isSide = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= largestSample;

/** Pixels or places of a side, or [height, width], or null: what the model was made for. It says nothing of the network. */
export const sampleSize: Field<undefined> = (value) =>
  value === undefined ||
  value === null ||
  isSide(value) ||
  (Array.isArray(value) && value.length === 2 && value.every(isSide))
    ? { value: undefined }
    : { problem: `must be a whole number from 1 to ${largestSample}, a list of two, or null` };

/** Refuses more blocks, or more layers in all, than a model may have. `layers` are those of each block on the way down. */
export function checkDepth(model: string, blocks: number, layers: readonly number[] = []): void {
  if (blocks > mostBlocks)
    throw new TensorError(
      `${model}: block_out_channels has ${blocks} entries, and at most ${mostBlocks} are supported`,
    );
  const sum = layers.reduce((total, count) => total + count, 0);
  if (sum > mostLayersInAll)
    throw new TensorError(
      `${model}: layers_per_block and transformer_layers_per_block make ${sum} layers on the way down, and at most ` +
        `${mostLayersInAll} are supported`,
    );
}

/**
 * Fields of configurations of UNets that have no effect unless a class has them itself: those of UNet2DModel and
 * UNet2DConditionModel, whose files are made from one another, and what diffusers' EMAModel writes into the configuration of an
 * average: how it was taken.
 */
export const otherUNets = ignoredFields([
  ...['act_fn', 'add_attention', 'addition_embed_type', 'addition_embed_type_num_heads', 'addition_time_embed_dim'],
  ...['attention_head_dim', 'attention_type', 'attn_norm_num_groups', 'block_out_channels', 'center_input_sample'],
  ...['class_embed_type', 'class_embeddings_concat', 'conv_in_kernel', 'conv_out_kernel', 'cross_attention_dim'],
  ...['cross_attention_norm', 'down_block_types', 'downsample_padding', 'downsample_type', 'dropout'],
  ...[
    'dual_cross_attention',
    'encoder_hid_dim',
    'encoder_hid_dim_type',
    'flip_sin_to_cos',
    'freq_shift',
    'in_channels',
  ],
  ...['layers_per_block', 'mid_block_only_cross_attention', 'mid_block_scale_factor', 'mid_block_type', 'norm_eps'],
  ...['norm_num_groups', 'num_attention_heads', 'num_class_embeds', 'num_train_timesteps', 'only_cross_attention'],
  ...['out_channels', 'projection_class_embeddings_input_dim', 'resnet_out_scale_factor', 'resnet_skip_time_act'],
  ...['resnet_time_scale_shift', 'reverse_transformer_layers_per_block', 'sample_size', 'time_cond_proj_dim'],
  ...['time_embedding_act_fn', 'time_embedding_dim', 'time_embedding_type', 'timestep_post_act'],
  ...['transformer_layers_per_block', 'up_block_types', 'upcast_attention', 'upsample_type', 'use_linear_projection'],
  ...['decay', 'inv_gamma', 'min_decay', 'optimization_step', 'power', 'update_after_step', 'use_ema_warmup'],
]);
