import { type ChildParams, module } from '../../nn/index.ts';
import { concat, type Tensor, TensorError, tensor } from '../../tensor/index.ts';
import type { Autoencoder } from '../autoencoder/autoencoder.ts';
import { autoencoderKL } from '../autoencoder/autoencoderKL.ts';
import { autoencoderTiny } from '../autoencoder/autoencoderTiny.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { readConfig } from '../config.ts';
import { clipTextModel, clipTextModelFields, stateBefore } from '../text/clipTextModel.ts';
import type { ClipTokenizer } from '../text/clipTokenizer.ts';
import type { Timesteps, UNetInputs, UNetOptions } from '../unet/unet.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { type MicroConditioning, timeIdsOf } from './microConditioning.ts';

/** The configurations of a text-to-image model's parts, as in diffusers' folders. */
export interface TextToImageConfig {
  /** The `config.json` of a UNet2DConditionModel. */
  readonly unet: Readonly<Record<string, unknown>>;
  /** The `config.json` of a CLIPTextModel, or of one with a projection. */
  readonly textEncoder: Readonly<Record<string, unknown>>;
  /** SDXL's second one, a CLIPTextModelWithProjection; `textEncoder` is the first then. */
  readonly textEncoder2?: Readonly<Record<string, unknown>> | undefined;
  /** The `config.json` of an AutoencoderKL or AutoencoderTiny; without one the UNet works on pixels. */
  readonly vae?: Readonly<Record<string, unknown>> | undefined;
}

/** What a UNet is told of captions. */
export type Conditioning = Pick<UNetInputs, 'context' | 'added'>;

/** Token ids i32[N, tokens] for the text encoder, or for both. */
export type PromptIds = Tensor | readonly [Tensor, Tensor];

/** Options of a text-to-image model's `condition`. */
export interface ConditionOptions {
  /** How many of the text encoder's last layers are left out beyond the usual; default 0. */
  readonly clipSkip?: number;
  /** The sizes and crops that an SDXL UNet takes; default: the size of the image, without crops. */
  readonly sizes?: MicroConditioning;
}

const missing = (part: string): never => {
  throw new TensorError(`textToImage: the parameters of ${part} are not there; load that part of the pipeline first`);
};

const autoencoderOf = (config: JsonObject): Autoencoder<unknown> =>
  (config._class_name === 'AutoencoderTiny' ? autoencoderTiny(config) : autoencoderKL(config)) as Autoencoder<unknown>;

/**
 * A pipeline's models: one text encoder or two, a UNet and, where it works on latents, an autoencoder. As in Stable
 * Diffusion 1 and 2 the UNet looks at the last hidden state; where it also takes sizes and the pooled text, as in SDXL, at
 * the last but one of every encoder, side by side.
 */
export function textToImage(config: TextToImageConfig, options?: UNetOptions) {
  const { unet: unetConfig, textEncoder: encoderConfig, textEncoder2: encoder2Config, vae: vaeConfig } = config;
  const [model, encoder] = [unet2dConditionModel(unetConfig, options), clipTextModel(encoderConfig)];
  const encoder2 = encoder2Config && clipTextModel(encoder2Config);
  const autoencoder = vaeConfig && autoencoderOf(vaeConfig);
  const takesSizes = unetConfig.addition_embed_type === 'text_time';
  const pooledWidth = readConfig('CLIPTextModel', encoder2Config ?? encoderConfig, clipTextModelFields).projection_dim;
  const layers = {
    unet: model,
    text_encoder: encoder,
    text_encoder_2: encoder2,
    ...(autoencoder === undefined ? {} : { vae: autoencoder }),
  };
  type Models = ChildParams<typeof layers>;
  type Params = Pick<Models, 'unet' | 'text_encoder'> & {
    readonly text_encoder_2?: Models['text_encoder'];
    readonly vae?: unknown;
  };

  return {
    ...(module(layers, () => undefined) as { init(...args: Parameters<typeof model.init>): Params }),
    /** Between images and latents; undefined for pipelines on pixels. */
    autoencoder,
    /** Pixels along a side for each of the UNet's places: 1 on pixels. */
    factor: autoencoder?.factor ?? 1,
    /** How many text encoders there are. */
    encoders: encoder2 === undefined ? (1 as const) : (2 as const),

    /** What captions, as token ids i32[N, tokens], mean for images of a size in pixels. */
    condition(
      params: Params,
      ids: PromptIds,
      size: readonly [height: number, width: number],
      { clipSkip = 0, sizes = {} }: ConditionOptions = {},
    ): Conditioning {
      const all = Array.isArray(ids) ? (ids as readonly Tensor[]) : [ids as Tensor];
      const [first, second = first] = all as readonly [Tensor, ...Tensor[]];
      const encoded = [encoder.apply(params.text_encoder, first)];
      if (encoder2 !== undefined)
        encoded.push(encoder2.apply(params.text_encoder_2 ?? missing('text_encoder_2'), second));
      if (!takesSizes) return { context: encoded[0]?.normalizedState(clipSkip) };
      const textEmbeds = encoded.at(-1)?.textEmbeds;
      if (textEmbeds === undefined)
        throw new TensorError('textToImage: this UNet needs pooled, projected text: a CLIPTextModelWithProjection');
      const states = encoded.map(({ hiddenStates }) => stateBefore(hiddenStates, 1 + clipSkip));
      const own = timeIdsOf(unetConfig, pooledWidth, size, sizes);
      const timeIds = Array.from({ length: first.shape[0] as number }, () => own);
      return { context: states.length === 1 ? states[0] : concat(states, 2), added: { textEmbeds, timeIds } };
    },
    /** What the UNet predicts for noisy images, or noisy latents. */
    predict: (
      params: Pick<Params, 'unet'>,
      x: Tensor,
      timesteps: Timesteps,
      conditioning: Conditioning,
      key?: Tensor,
    ): Tensor => model.apply(params.unet, x, timesteps, { ...conditioning, key }),
  };
}

/** A text-to-image model: see `textToImage`. */
export type TextToImage = ReturnType<typeof textToImage>;
/** The parameters of a text-to-image model, by part. */
export type TextToImageParams = ReturnType<TextToImage['init']>;

/** Captions as token ids: i32[N, tokens]. */
export const tokenIds = (tokenizer: ClipTokenizer, captions: readonly string[]): Tensor =>
  tensor(
    captions.map((caption) => tokenizer.encodePadded(caption)),
    { dtype: 'i32' },
  ).reshape([captions.length, tokenizer.maxLength]);
