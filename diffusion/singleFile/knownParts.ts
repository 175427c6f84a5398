import { FormatError } from '../../tensor/index.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import type { Family } from './knownUNets.ts';

const vae: JsonObject = {
  _class_name: 'AutoencoderKL',
  ...{ act_fn: 'silu', in_channels: 3, out_channels: 3, latent_channels: 4, layers_per_block: 2, norm_num_groups: 32 },
  block_out_channels: [128, 256, 512, 512],
  down_block_types: new Array<string>(4).fill('DownEncoderBlock2D'),
  up_block_types: new Array<string>(4).fill('UpDecoderBlock2D'),
};
const vaeOf = (sampleSize: number, scalingFactor: number): JsonObject => ({
  ...vae,
  ...{ sample_size: sampleSize, scaling_factor: scalingFactor },
});

/** The autoencoders: one architecture, of which Stable Diffusion XL has its own weights and scale. */
export const knownVaes: Readonly<Record<Family, JsonObject>> = {
  sd1: vaeOf(512, 0.18215),
  sd2: vaeOf(768, 0.18215),
  sdxl: vaeOf(1024, 0.13025),
  refiner: vaeOf(1024, 0.13025),
};

const text: JsonObject = {
  architectures: ['CLIPTextModel'],
  ...{ model_type: 'clip_text_model', vocab_size: 49408, max_position_embeddings: 77, layer_norm_eps: 1e-5 },
  // 2 stands for the largest id of a prompt, which the end token has.
  ...{ bos_token_id: 0, eos_token_id: 2, pad_token_id: 1, attention_dropout: 0 },
};
/** OpenAI's CLIP ViT-L/14. */
const large: JsonObject = {
  ...text,
  ...{ hidden_act: 'quick_gelu', hidden_size: 768, intermediate_size: 3072, projection_dim: 768 },
  ...{ num_attention_heads: 12, num_hidden_layers: 12 },
};
/** OpenCLIP's ViT-H/14 without its last layer. */
const huge: JsonObject = {
  ...text,
  ...{ hidden_act: 'gelu', hidden_size: 1024, intermediate_size: 4096, projection_dim: 512 },
  ...{ num_attention_heads: 16, num_hidden_layers: 23 },
};
/** OpenCLIP's ViT-bigG/14 with its projection. */
const giant: JsonObject = {
  ...text,
  architectures: ['CLIPTextModelWithProjection'],
  ...{ hidden_act: 'gelu', hidden_size: 1280, intermediate_size: 5120, projection_dim: 1280 },
  ...{ num_attention_heads: 20, num_hidden_layers: 32 },
};

/** The text encoders, in their order. */
export const knownTexts: Readonly<Record<Family, readonly [JsonObject, ...JsonObject[]]>> = {
  sd1: [large],
  sd2: [huge],
  sdxl: [large, giant],
  refiner: [giant],
};

/** What fills up prompts for each text encoder: the end token where nothing is said, or `!`. */
export const knownPadTokens: Readonly<Record<Family, readonly [string | undefined, ...(string | undefined)[]]>> = {
  sd1: [undefined],
  sd2: ['!'],
  sdxl: [undefined, '!'],
  refiner: ['!'],
};

/** What a network predicts that is not told by a single file. */
export type SingleFilePrediction = 'epsilon' | 'v_prediction';

const noise: JsonObject = {
  ...{ beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', num_train_timesteps: 1000 },
  ...{ trained_betas: null, clip_sample: false, set_alpha_to_one: false, steps_offset: 1 },
};

/** What a scheduler's configuration says where no signal is left at the last time step: sampling must begin there. */
export const endsWithNoise: JsonObject = { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' };

/** The scheduler of published pipelines of a family, for what its network predicts. */
export function knownScheduler(family: Family, prediction: SingleFilePrediction, zeroTerminalSnr: boolean): JsonObject {
  const predicts = { ...noise, prediction_type: prediction };
  if (zeroTerminalSnr && prediction === 'epsilon')
    throw new FormatError(
      'a network whose last time step has no signal left (zero terminal SNR) predicts v: from noise alone, a prediction of ' +
        'the noise says nothing of the image. Choose --prediction v_prediction, or leave --zero-terminal-snr out',
    );
  const ends = zeroTerminalSnr ? endsWithNoise : {};
  if (family === 'sdxl' || family === 'refiner')
    return {
      _class_name: 'EulerDiscreteScheduler',
      ...{ interpolation_type: 'linear', timestep_spacing: 'leading', use_karras_sigmas: false },
      ...predicts,
      ...ends,
    };
  if (prediction === 'epsilon') return { _class_name: 'PNDMScheduler', skip_prk_steps: true, ...predicts };
  return { _class_name: 'DDIMScheduler', ...predicts, ...ends };
}
