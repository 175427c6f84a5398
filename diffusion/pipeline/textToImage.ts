import { type ChildParams, module } from '../../nn/index.ts';
import { type Tensor, TensorError, tensor } from '../../tensor/index.ts';
import { clipTextModel } from '../text/clipTextModel.ts';
import type { ClipTokenizer } from '../text/clipTokenizer.ts';
import type { Timesteps, UNetInputs, UNetOptions } from '../unet/unet.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';

export interface TextToImageConfig {
  /** The `config.json` of a UNet2DConditionModel. */
  readonly unet: Readonly<Record<string, unknown>>;
  /** The `config.json` of a CLIPTextModel, or of one with a projection. */
  readonly textEncoder: Readonly<Record<string, unknown>>;
}

/** What a UNet is told of captions. */
export type Conditioning = Pick<UNetInputs, 'context' | 'added'>;

/**
 * A text encoder and a UNet. As in Stable Diffusion 1 the UNet looks at the last hidden state; where it also takes sizes
 * and the pooled text, as in SDXL, at the last but one.
 */
export function textToImage(
  { unet: unetConfig, textEncoder: encoderConfig }: TextToImageConfig,
  options?: UNetOptions,
) {
  const [model, encoder] = [unet2dConditionModel(unetConfig, options), clipTextModel(encoderConfig)];
  const takesSizes = unetConfig.addition_embed_type === 'text_time';
  const layers = { unet: model, text_encoder: encoder };
  type Params = ChildParams<typeof layers>;

  return {
    ...module(layers, () => undefined),
    /** What captions, as token ids i32[N, tokens], mean for images of a size; as SDXL's training code has it, without crops. */
    condition(params: Params, ids: Tensor, [height, width]: readonly [number, number]): Conditioning {
      const encoded = encoder.apply(params.text_encoder, ids);
      if (!takesSizes) return { context: encoded.lastHiddenState };
      const { textEmbeds } = encoded;
      if (textEmbeds === undefined)
        throw new TensorError('textToImage: this UNet needs pooled, projected text: a CLIPTextModelWithProjection');
      const sizes = [height, width, 0, 0, height, width];
      const timeIds = Array.from({ length: ids.shape[0] as number }, () => sizes);
      return { context: encoded.hiddenStates.at(-2), added: { textEmbeds, timeIds } };
    },
    /** What the UNet predicts for noisy images. */
    predict: (params: Params, x: Tensor, timesteps: Timesteps, conditioning: Conditioning, key?: Tensor): Tensor =>
      model.apply(params.unet, x, timesteps, { ...conditioning, key }),
  };
}

export type TextToImage = ReturnType<typeof textToImage>;
export type TextToImageParams = ReturnType<TextToImage['init']>;

/** Captions as token ids: i32[N, tokens]. */
export const tokenIds = (tokenizer: ClipTokenizer, captions: readonly string[]): Tensor =>
  tensor(
    captions.map((caption) => tokenizer.encodePadded(caption)),
    { dtype: 'i32' },
  ).reshape([captions.length, tokenizer.maxLength]);
