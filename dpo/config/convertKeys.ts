import { oneOf } from '../../diffusion/index.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { neededText, neededTexts, optional, wholeFrom } from './fields.ts';
import { modelKeys } from './modelKeys.ts';

/** The keys of `convert`. */
export const convertKeys = {
  ...modelKeys,
  lora: pathKey(
    optional(neededTexts),
    'LoRA adapters to merge into the weights, of PEFT, diffusers or kohya: FILE, FILE:scale, or a list of them.',
  ),
  output: pathKey(
    neededText,
    "A folder to write in the layout of diffusers, or a file whose name ends with .safetensors, in Stable Diffusion's original layout.",
  ),
  dtype: configKey(
    optional(oneOf('f32', 'bf16', 'f16')),
    'Dtype that weights are written in; null: as they are stored.',
  ),
  maxShardBytes: configKey(
    optional(wholeFrom(1e10, 1000)),
    'The most bytes of weights in one file of a folder; larger models are cut into shards. null: one file for each model.',
  ),
} as const;

/** The settings of `convert`. */
export type ConvertSettings = SettingsOf<typeof convertKeys>;
