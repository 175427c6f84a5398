import { learnTokenizer, textToImage } from 'diffusion-dpo/diffusion';
import { savePipelineFolder } from 'diffusion-dpo/diffusion/node';
import { key, realize } from 'diffusion-dpo/tensor';

const vae = {
  _class_name: 'AutoencoderKL',
  block_out_channels: [4, 4, 8, 8],
  down_block_types: new Array<string>(4).fill('DownEncoderBlock2D'),
  up_block_types: new Array<string>(4).fill('UpDecoderBlock2D'),
  norm_num_groups: 4,
  layers_per_block: 1,
};
const scheduler = {
  ...{ beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', steps_offset: 1 },
  ...{ timestep_spacing: 'leading', clip_sample: false },
};
const text = {
  ...{ architectures: ['CLIPTextModel'], model_type: 'clip_text_model', hidden_size: 8, intermediate_size: 16 },
  ...{ projection_dim: 8, num_hidden_layers: 3, num_attention_heads: 2, max_position_embeddings: 16 },
};
const projected = { ...text, architectures: ['CLIPTextModelWithProjection'], hidden_size: 12, projection_dim: 12 };
const unet = {
  _class_name: 'UNet2DConditionModel',
  ...{ sample_size: 2, in_channels: 4, out_channels: 4, layers_per_block: 1, norm_num_groups: 4 },
};
const twoLevels = {
  block_out_channels: [8, 8],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'UpBlock2D'],
};
const sdxl = {
  ...unet,
  ...twoLevels,
  ...{ attention_head_dim: [1, 2], transformer_layers_per_block: [1, 2], use_linear_projection: true },
  ...{ addition_embed_type: 'text_time', addition_time_embed_dim: 4 },
};

/** Pipelines in the full layout of published ones, with all parts and tiny widths. */
export const tinyLatentConfigs = {
  sd15: {
    config: { unet: { ...unet, ...twoLevels, attention_head_dim: 2, cross_attention_dim: 8 }, textEncoder: text, vae },
    scheduler: { _class_name: 'PNDMScheduler', ...scheduler, skip_prk_steps: true },
  },
  sd21: {
    config: {
      unet: { ...unet, ...twoLevels, attention_head_dim: [1, 2], cross_attention_dim: 8, use_linear_projection: true },
      textEncoder: { ...text, hidden_act: 'gelu' },
      vae,
    },
    scheduler: { _class_name: 'DDIMScheduler', ...scheduler, prediction_type: 'v_prediction' },
  },
  sdxl: {
    config: {
      unet: { ...sdxl, cross_attention_dim: 20, projection_class_embeddings_input_dim: 12 + 6 * 4 },
      textEncoder: text,
      textEncoder2: projected,
      vae: { ...vae, scaling_factor: 0.13025, force_upcast: true },
    },
    scheduler: { _class_name: 'EulerDiscreteScheduler', ...scheduler },
    forceZerosForEmptyPrompt: true,
  },
  refiner: {
    config: {
      unet: { ...sdxl, cross_attention_dim: 12, projection_class_embeddings_input_dim: 12 + 5 * 4 },
      textEncoder: projected,
      vae: { ...vae, scaling_factor: 0.13025, force_upcast: true },
    },
    scheduler: { _class_name: 'EulerDiscreteScheduler', ...scheduler },
  },
} as const;

export type TinyLatentName = keyof typeof tinyLatentConfigs;

const words = ['a red square', 'a blue square', 'a green dot'];

/** Writes such a pipeline with random weights. */
export async function writeTinyLatents(folder: string, name: TinyLatentName, seed = 0): Promise<void> {
  const { config, scheduler: noise, ...options } = tinyLatentConfigs[name];
  const tokenizer = learnTokenizer(words, { merges: 10, maxLength: 16 });
  const size = Object.keys(tokenizer.vocabulary).length;
  const ids = { vocab_size: size, bos_token_id: size - 2, eos_token_id: 2 };
  const sized = {
    ...config,
    textEncoder: { ...config.textEncoder, ...ids },
    ...('textEncoder2' in config && { textEncoder2: { ...config.textEncoder2, ...ids } }),
  };
  const params = await realize(textToImage(sized).init(key(seed)));
  const tokenizer2 = 'textEncoder2' in config ? { tokenizer2: { ...tokenizer, padToken: '!' } } : {};
  await savePipelineFolder(folder, { config: sized, tokenizer, ...tokenizer2, scheduler: noise, params, ...options });
}
