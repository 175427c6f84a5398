import { ignoredFields } from '../config.ts';

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
