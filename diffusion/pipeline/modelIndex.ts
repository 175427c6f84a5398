import { FormatError } from '../../tensor/index.ts';
import type { JsonObject } from '../checkpoint/json.ts';

/** The parts of a text-to-image pipeline in pixel space, by the names of their folders. */
export interface PipelineParts {
  readonly textEncoder: 'text_encoder' | 'text_encoder_2';
  readonly tokenizer: 'tokenizer' | 'tokenizer_2';
}

/** The parts that a pipeline must have, or may, with the libraries that their classes come from. */
const isThere = (index: JsonObject, part: string): boolean =>
  Array.isArray(index[part]) && (index[part] as readonly unknown[])[1] !== null;

/**
 * Which folders of a `model_index.json` make the pipeline: a UNet in pixel space with one text encoder, `text_encoder` as
 * Stable Diffusion 1 has it, or `text_encoder_2` alone as in SDXL's refiner.
 * @throws FormatError for what is not supported: two text encoders, or a VAE.
 */
export function partsOf(index: JsonObject, file: string): PipelineParts {
  for (const part of ['unet', 'scheduler'])
    if (!isThere(index, part)) throw new FormatError(`${file}: names no ${part}, which every pipeline needs`);
  if (isThere(index, 'vae'))
    throw new FormatError(`${file}: has a vae; pipelines that work on latents are not supported, only those on pixels`);
  const encoders = (['text_encoder', 'text_encoder_2'] as const).filter((part) => isThere(index, part));
  const [textEncoder] = encoders;
  if (textEncoder === undefined || encoders.length > 1)
    throw new FormatError(
      `${file}: a pipeline with ${encoders.length === 0 ? 'no text encoder' : 'two text encoders'} is not supported; one is needed`,
    );
  const tokenizer = textEncoder === 'text_encoder' ? 'tokenizer' : 'tokenizer_2';
  if (!isThere(index, tokenizer)) throw new FormatError(`${file}: has a ${textEncoder}, but no ${tokenizer}`);
  return { textEncoder, tokenizer };
}

/** A `model_index.json` for a pipeline, in the form of diffusers' StableDiffusionXLPipeline or StableDiffusionPipeline. */
export function modelIndexOf(takesSizes: boolean, scheduler: string): JsonObject {
  const nothing = [null, null];
  const unet = ['diffusers', 'UNet2DConditionModel'];
  const tokenizer = ['transformers', 'CLIPTokenizer'];
  const common = { scheduler: ['diffusers', scheduler], unet, vae: nothing };
  if (takesSizes) {
    return {
      _class_name: 'StableDiffusionXLPipeline',
      ...common,
      force_zeros_for_empty_prompt: false,
      text_encoder: nothing,
      text_encoder_2: ['transformers', 'CLIPTextModelWithProjection'],
      tokenizer: nothing,
      tokenizer_2: tokenizer,
    };
  }
  return {
    _class_name: 'StableDiffusionPipeline',
    ...common,
    feature_extractor: nothing,
    requires_safety_checker: false,
    safety_checker: nothing,
    text_encoder: ['transformers', 'CLIPTextModel'],
    tokenizer,
  };
}
