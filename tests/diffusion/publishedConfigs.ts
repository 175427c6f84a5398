/**
 * What published `config.json`s of UNets say, and how many numbers their models are known to hold. The whole lists of tensors
 * of Stable Diffusion 1.5 and SDXL base are in tests/golden.
 */
interface PublishedUNet {
  readonly config: Readonly<Record<string, unknown>>;
  readonly parameters: number;
}

const stableDiffusion = {
  _class_name: 'UNet2DConditionModel',
  act_fn: 'silu',
  center_input_sample: false,
  downsample_padding: 1,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 4,
  layers_per_block: 2,
  mid_block_scale_factor: 1,
  norm_eps: 1e-5,
  norm_num_groups: 32,
  out_channels: 4,
} as const;

const fourLevels = {
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
} as const;

/** What newer versions of diffusers write, though it says nothing new. */
const defaults = {
  attention_type: 'default',
  class_embed_type: null,
  class_embeddings_concat: false,
  conv_in_kernel: 3,
  conv_out_kernel: 3,
  cross_attention_norm: null,
  dropout: 0,
  dual_cross_attention: false,
  encoder_hid_dim: null,
  encoder_hid_dim_type: null,
  mid_block_only_cross_attention: null,
  num_attention_heads: null,
  num_class_embeds: null,
  only_cross_attention: false,
  resnet_out_scale_factor: 1,
  resnet_skip_time_act: false,
  resnet_time_scale_shift: 'default',
  time_cond_proj_dim: null,
  time_embedding_act_fn: null,
  time_embedding_dim: null,
  time_embedding_type: 'positional',
  timestep_post_act: null,
} as const;

/** Beside the sizes of images, SDXL takes the pooled text. */
const sizesAndText = {
  addition_embed_type: 'text_time',
  addition_embed_type_num_heads: 64,
  addition_time_embed_dim: 256,
  sample_size: 128,
  upcast_attention: null,
  use_linear_projection: true,
} as const;

export const publishedUNets: Readonly<Record<string, PublishedUNet>> = {
  'google/ddpm-cifar10-32': {
    config: {
      _class_name: 'UNet2DModel',
      _diffusers_version: '0.0.4',
      act_fn: 'silu',
      attention_head_dim: null,
      block_out_channels: [128, 256, 256, 256],
      center_input_sample: false,
      down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'],
      downsample_padding: 0,
      flip_sin_to_cos: false,
      freq_shift: 1,
      in_channels: 3,
      layers_per_block: 2,
      mid_block_scale_factor: 1,
      norm_eps: 1e-6,
      norm_num_groups: 32,
      out_channels: 3,
      sample_size: 32,
      time_embedding_type: 'positional',
      up_block_types: ['UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
    },
    parameters: 35_746_307,
  },
  'stabilityai/stable-diffusion-2-1': {
    config: {
      ...stableDiffusion,
      ...fourLevels,
      _diffusers_version: '0.10.0.dev0',
      attention_head_dim: [5, 10, 20, 20],
      block_out_channels: [320, 640, 1280, 1280],
      cross_attention_dim: 1024,
      dual_cross_attention: false,
      num_class_embeds: null,
      only_cross_attention: false,
      sample_size: 96,
      upcast_attention: true,
      use_linear_projection: true,
    },
    parameters: 865_910_724,
  },
  'stabilityai/stable-diffusion-xl-refiner-1.0': {
    config: {
      ...stableDiffusion,
      ...defaults,
      ...sizesAndText,
      attention_head_dim: [6, 12, 24, 24],
      block_out_channels: [384, 768, 1536, 1536],
      cross_attention_dim: 1280,
      down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
      mid_block_type: 'UNetMidBlock2DCrossAttn',
      projection_class_embeddings_input_dim: 2560,
      transformer_layers_per_block: 4,
      up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
    },
    parameters: 2_259_526_660,
  },
  'segmind/small-sd': {
    config: {
      ...stableDiffusion,
      ...fourLevels,
      ...defaults,
      attention_head_dim: 8,
      block_out_channels: [320, 640, 1280, 1280],
      cross_attention_dim: 768,
      layers_per_block: 1,
      mid_block_type: 'UNetMidBlock2DCrossAttn',
      sample_size: 64,
      transformer_layers_per_block: 1,
      upcast_attention: false,
      use_linear_projection: false,
    },
    parameters: 579_384_964,
  },
  'segmind/tiny-sd': {
    config: {
      ...stableDiffusion,
      ...defaults,
      attention_head_dim: 8,
      block_out_channels: [320, 640, 1280],
      cross_attention_dim: 768,
      down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
      layers_per_block: 1,
      mid_block_type: null,
      sample_size: 64,
      transformer_layers_per_block: 1,
      up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
      upcast_attention: false,
      use_linear_projection: false,
    },
    parameters: 323_384_964,
  },
};

/** SDXL with fewer transformer blocks and without attention in the middle. */
export const ssd1b: Readonly<Record<string, unknown>> = {
  ...stableDiffusion,
  ...defaults,
  ...sizesAndText,
  attention_head_dim: [5, 10, 20],
  block_out_channels: [320, 640, 1280],
  cross_attention_dim: 2048,
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  mid_block_type: 'UNetMidBlock2D',
  projection_class_embeddings_input_dim: 2816,
  reverse_transformer_layers_per_block: [[4, 4, 10], [2, 1, 1], 1],
  transformer_layers_per_block: [[1], [2, 2], [4, 4]],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
};

const latents = {
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  clip_sample: false,
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
} as const;

/** What published `scheduler_config.json`s say, and the first and last of 20 steps of time that they mean. */
export const publishedSchedulers: Readonly<
  Record<string, { readonly config: Readonly<Record<string, unknown>>; readonly first: number; readonly last: number }>
> = {
  'google/ddpm-cifar10-32': {
    config: {
      _class_name: 'DDPMScheduler',
      _diffusers_version: '0.1.1',
      beta_end: 0.02,
      beta_schedule: 'linear',
      beta_start: 0.0001,
      clip_sample: true,
      num_train_timesteps: 1000,
      timestep_values: null,
      trained_betas: null,
      variance_type: 'fixed_large',
    },
    first: 950,
    last: 0,
  },
  'stable-diffusion-v1-5': {
    config: { _class_name: 'PNDMScheduler', _diffusers_version: '0.6.0', ...latents },
    first: 951,
    last: 1,
  },
  'stabilityai/stable-diffusion-2-1': {
    config: { _class_name: 'DDIMScheduler', _diffusers_version: '0.8.0', ...latents, prediction_type: 'v_prediction' },
    first: 951,
    last: 1,
  },
  'stabilityai/stable-diffusion-xl-base-1.0': {
    config: {
      _class_name: 'EulerDiscreteScheduler',
      _diffusers_version: '0.19.0.dev0',
      ...latents,
      interpolation_type: 'linear',
      prediction_type: 'epsilon',
      sample_max_value: 1,
      timestep_spacing: 'leading',
      use_karras_sigmas: false,
    },
    first: 951,
    last: 1,
  },
};
