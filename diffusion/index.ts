/**
 * Noise schedules, samplers and the models of diffusion.
 *
 *   config   reading configuration files: every field is known, or refused by name
 *   text/    CLIP's tokenizer and text encoder
 *   unet/    UNet2DModel and UNet2DConditionModel, from their config.json
 */

export {
  type ClipEncoderLayerOptions,
  type ClipTextModelConfig,
  clipEncoderLayer,
  clipTextModel,
  type EncodedText,
} from './text/clipTextModel.ts';
export {
  type ClipTokenizer,
  type ClipTokenizerFiles,
  cleanPrompt,
  clipTokenizer,
  parseMerges,
} from './text/clipTokenizer.ts';
export type { Timesteps, UNetInputs, UNetOptions } from './unet/unet.ts';
export { type UNet2DConditionModelConfig, unet2dConditionModel } from './unet/unet2dConditionModel.ts';
export { type UNet2DModelConfig, unet2dModel } from './unet/unet2dModel.ts';
