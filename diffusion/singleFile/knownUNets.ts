import type { JsonObject } from '../checkpoint/json.ts';

/** What decides how a single file is laid out beside its UNet: which text encoders it has, and under which names. */
export type Family = 'sd1' | 'sd2' | 'sdxl' | 'refiner';

/** A UNet whose configuration is known, though single files do not hold it. */
export interface KnownUNet {
  readonly name: string;
  readonly family: Family;
  readonly config: JsonObject;
}

const fill = (count: number, type: string): string[] => new Array<string>(count).fill(type);
const [plainDown, crossDown] = ['DownBlock2D', 'CrossAttnDownBlock2D'];
const [plainUp, crossUp] = ['UpBlock2D', 'CrossAttnUpBlock2D'];

const common = {
  _class_name: 'UNet2DConditionModel',
  ...{ act_fn: 'silu', center_input_sample: false, downsample_padding: 1, flip_sin_to_cos: true, freq_shift: 0 },
  ...{ in_channels: 4, out_channels: 4, layers_per_block: 2, mid_block_scale_factor: 1, norm_eps: 1e-5 },
  ...{ norm_num_groups: 32, mid_block_type: 'UNetMidBlock2DCrossAttn' },
} as const;

/** Four levels, of which the smallest has no attention. */
const four = {
  block_out_channels: [320, 640, 1280, 1280],
  down_block_types: [...fill(3, crossDown), plainDown],
  up_block_types: [plainUp, ...fill(3, crossUp)],
};
/** Three levels, all with attention. */
const three = {
  block_out_channels: [320, 640, 1280],
  down_block_types: fill(3, crossDown),
  up_block_types: fill(3, crossUp),
};

// attention_head_dim counts heads, whatever its name says.
const first = { ...common, attention_head_dim: 8, cross_attention_dim: 768, sample_size: 64 } as const;
const second = { ...common, cross_attention_dim: 1024, sample_size: 64, use_linear_projection: true } as const;

const xl = {
  ...common,
  ...{ attention_head_dim: [5, 10, 20], block_out_channels: [320, 640, 1280], cross_attention_dim: 2048 },
  down_block_types: [plainDown, crossDown, crossDown],
  up_block_types: [crossUp, crossUp, plainUp],
  transformer_layers_per_block: [1, 2, 10],
  ...{ addition_embed_type: 'text_time', addition_time_embed_dim: 256, projection_class_embeddings_input_dim: 2816 },
  ...{ sample_size: 128, use_linear_projection: true },
} as const;

/**
 * The UNets of published single files: Stable Diffusion 1, 2 and XL, and smaller ones made of them. Which one a file has is
 * told by the number of transformers behind each of its blocks.
 */
export const knownUNets: readonly KnownUNet[] = [
  { name: 'Stable Diffusion 1', family: 'sd1', config: { ...first, ...four } },
  { name: 'BK-SDM-Base', family: 'sd1', config: { ...first, ...four, layers_per_block: 1 } },
  { name: 'BK-SDM-Small', family: 'sd1', config: { ...first, ...four, layers_per_block: 1, mid_block_type: null } },
  { name: 'BK-SDM-Tiny', family: 'sd1', config: { ...first, ...three, layers_per_block: 1, mid_block_type: null } },
  { name: 'Stable Diffusion 2', family: 'sd2', config: { ...second, ...four, attention_head_dim: [5, 10, 20, 20] } },
  {
    name: 'BK-SDM-v2-Base',
    family: 'sd2',
    config: { ...second, ...four, attention_head_dim: [5, 10, 20, 20], layers_per_block: 1 },
  },
  {
    name: 'BK-SDM-v2-Small',
    family: 'sd2',
    config: { ...second, ...four, attention_head_dim: [5, 10, 20, 20], layers_per_block: 1, mid_block_type: null },
  },
  {
    name: 'BK-SDM-v2-Tiny',
    family: 'sd2',
    config: { ...second, ...three, attention_head_dim: [5, 10, 20], layers_per_block: 1, mid_block_type: null },
  },
  { name: 'Stable Diffusion XL', family: 'sdxl', config: xl },
  {
    name: 'SSD-1B',
    family: 'sdxl',
    config: {
      ...xl,
      mid_block_type: 'UNetMidBlock2D',
      transformer_layers_per_block: [1, [2, 2], [4, 4]],
      reverse_transformer_layers_per_block: [[4, 4, 10], [2, 1, 1], 1],
    },
  },
  {
    name: 'Segmind Vega',
    family: 'sdxl',
    config: {
      ...xl,
      mid_block_type: 'UNetMidBlock2D',
      transformer_layers_per_block: [1, [1, 1], [2, 2]],
      reverse_transformer_layers_per_block: [[2, 2, 2], [1, 1, 1], 1],
    },
  },
  {
    name: 'the refiner of Stable Diffusion XL',
    family: 'refiner',
    config: {
      ...xl,
      ...{ attention_head_dim: [6, 12, 24, 24], block_out_channels: [384, 768, 1536, 1536] },
      ...{ cross_attention_dim: 1280, transformer_layers_per_block: 4, projection_class_embeddings_input_dim: 2560 },
      down_block_types: [plainDown, crossDown, crossDown, plainDown],
      up_block_types: [plainUp, crossUp, crossUp, plainUp],
    },
  },
];
