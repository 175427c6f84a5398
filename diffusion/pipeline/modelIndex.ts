import { FormatError } from '../../tensor/index.ts';
import type { JsonObject } from '../checkpoint/json.ts';

/** The file of a pipeline's folder that names its parts. */
export const indexName = 'model_index.json';
/** The file of the folder `scheduler`. */
export const schedulerName = 'scheduler_config.json';

/** A text encoder of a pipeline and the tokenizer that makes its ids, by the names of their folders. */
export interface TextPart {
  readonly encoder: 'text_encoder' | 'text_encoder_2';
  readonly tokenizer: 'tokenizer' | 'tokenizer_2';
}

/** What a `model_index.json` says of a pipeline. */
export interface PipelineParts {
  /** One text encoder, or SDXL's two, the one of `text_encoder` first. */
  readonly texts: readonly [TextPart, ...TextPart[]];
  /** The class of the autoencoder; undefined for pipelines on pixels. */
  readonly vae: string | undefined;
  /** Whether a negative prompt that is not given stands for zeros instead of for the empty prompt. */
  readonly forceZerosForEmptyPrompt: boolean;
  /** Parts of the folder that nothing here uses, such as a safety checker. */
  readonly passedOver: readonly string[];
}

/** Parts that pipelines have beside the models, and that change no image: they look at it, or at a prompt, afterwards. */
const unused = ['safety_checker', 'feature_extractor', 'image_encoder', 'watermarker'];
const used = ['unet', 'scheduler', 'vae', 'text_encoder', 'text_encoder_2', 'tokenizer', 'tokenizer_2'];

const classOf = (index: JsonObject, part: string): string | undefined => {
  const entry = index[part];
  return Array.isArray(entry) && typeof entry[1] === 'string' ? entry[1] : undefined;
};

/**
 * Reads a `model_index.json` of diffusers: a UNet with one text encoder or two, on pixels or with an autoencoder.
 * @throws FormatError for a part that every pipeline needs and that is not named, or one that is not supported.
 */
export function partsOf(index: JsonObject, file: string): PipelineParts {
  const has = (part: string): boolean => classOf(index, part) !== undefined;
  for (const part of ['unet', 'scheduler'])
    if (!has(part)) throw new FormatError(`${file}: names no ${part}, which every pipeline needs`);
  const all = [
    { encoder: 'text_encoder', tokenizer: 'tokenizer' },
    { encoder: 'text_encoder_2', tokenizer: 'tokenizer_2' },
  ] as const;
  const [first, ...others] = all.filter(({ encoder }) => has(encoder));
  if (first === undefined)
    throw new FormatError(`${file}: a pipeline with no text encoder is not supported; one is needed, or two`);
  for (const { encoder, tokenizer } of [first, ...others])
    if (!has(tokenizer)) throw new FormatError(`${file}: has a ${encoder}, but no ${tokenizer}`);
  const present = Object.keys(index).filter((part) => has(part));
  const unknown = present.filter((part) => !used.includes(part) && !unused.includes(part));
  if (unknown.length > 0)
    throw new FormatError(
      `${file}: the parts ${unknown.join(', ')} are not supported; supported are ${[...used, ...unused].join(', ')}`,
    );
  return {
    texts: [first, ...others],
    vae: classOf(index, 'vae'),
    forceZerosForEmptyPrompt: index.force_zeros_for_empty_prompt === true,
    passedOver: present.filter((part) => unused.includes(part)),
  };
}

/** What the `model_index.json` of a pipeline depends on. */
export interface IndexOptions {
  /** Whether the UNet takes sizes and pooled text, as SDXL's. */
  readonly takesSizes: boolean;
  /** Whether it takes an aesthetic score, as the refiner's. */
  readonly takesScore?: boolean;
  readonly textEncoders: 1 | 2;
  /** The class of the autoencoder, if there is one. */
  readonly vae?: string | undefined;
  /** The class of the scheduler. */
  readonly scheduler: string;
  readonly forceZerosForEmptyPrompt?: boolean;
}

/** A `model_index.json` in the form of diffusers' StableDiffusionXLPipeline, its refiner, or StableDiffusionPipeline. */
export function modelIndexOf({
  takesSizes,
  takesScore = false,
  textEncoders,
  vae,
  scheduler,
  forceZerosForEmptyPrompt = false,
}: IndexOptions): JsonObject {
  const nothing = [null, null];
  const common = {
    scheduler: ['diffusers', scheduler],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: vae === undefined ? nothing : ['diffusers', vae],
  };
  const tokenizer = ['transformers', 'CLIPTokenizer'];
  if (!takesSizes) {
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
  const hasFirst = textEncoders === 2;
  return {
    _class_name: takesScore ? 'StableDiffusionXLImg2ImgPipeline' : 'StableDiffusionXLPipeline',
    ...common,
    force_zeros_for_empty_prompt: forceZerosForEmptyPrompt,
    ...(takesScore && { requires_aesthetics_score: true }),
    text_encoder: hasFirst ? ['transformers', 'CLIPTextModel'] : nothing,
    text_encoder_2: ['transformers', 'CLIPTextModelWithProjection'],
    tokenizer: hasFirst ? tokenizer : nothing,
    tokenizer_2: tokenizer,
  };
}
