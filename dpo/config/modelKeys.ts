import { boolean, oneOf } from '../../diffusion/index.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { neededText, optional } from './fields.ts';

/** Keys of a pipeline to read: where it is, parts from elsewhere, and what a single file does not tell. */
export const modelKeys = {
  model: pathKey(
    neededText,
    "A pipeline: a model folder in the layout of diffusers, or one .safetensors file in Stable Diffusion's original layout.",
  ),
  vae: pathKey(
    optional(neededText),
    "Another autoencoder: its folder, a pipeline's that has one, or a file with weights for the pipeline's own configuration.",
  ),
  unet: pathKey(optional(neededText), "Another UNet: its folder, or a pipeline's that has one."),
  variant: configKey(
    optional(neededText),
    'Weights of a variant in the folder, such as fp16; null: the plain ones, or those that stand alone.',
  ),
  modelConfig: pathKey(
    optional(neededText),
    'For a single file of a model that is not known here: a folder of configurations, as a pipeline has them, without weights.',
  ),
  tokenizer: pathKey(optional(neededText), "For a single file: the folder of a tokenizer; null: CLIP's."),
  prediction: configKey(
    optional(oneOf('epsilon', 'v_prediction')),
    'For a single file that does not tell, as those of Stable Diffusion 2: what its network predicts.',
  ),
  zeroTerminalSnr: configKey(
    optional(boolean(false)),
    'For a single file: whether its noise schedule ends with noise alone; null: as the file says, or not.',
  ),
  ema: configKey(boolean(false), "For a single file that has both: the average of the UNet's weights over training."),
} as const;

/** The settings of `modelKeys`. */
export type ModelSettings = SettingsOf<typeof modelKeys>;

/** The settings as options of `openPipeline`, but for where the pipeline is. */
export const pipelineOptions = (settings: ModelSettings) => ({
  vae: settings.vae ?? undefined,
  unet: settings.unet ?? undefined,
  variant: settings.variant ?? undefined,
  modelConfig: settings.modelConfig ?? undefined,
  tokenizer: settings.tokenizer ?? undefined,
  prediction: settings.prediction ?? undefined,
  zeroTerminalSnr: settings.zeroTerminalSnr ?? undefined,
  ema: settings.ema,
});
