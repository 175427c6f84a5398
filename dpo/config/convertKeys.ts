import { oneOf } from '../../diffusion/index.ts';
import { configKey, pathKey, type SettingsOf } from './configKey.ts';
import { neededText, optional, wholeFrom } from './fields.ts';

/** The keys of `convert`. */
export const convertKeys = {
  model: pathKey(neededText, 'The model folder of a pipeline, in the layout of diffusers.'),
  lora: pathKey(optional(neededText), 'LoRA adapters to merge into the weights: a pytorch_lora_weights.safetensors.'),
  output: pathKey(neededText, 'The folder to write, in the layout of diffusers.'),
  dtype: configKey(
    optional(oneOf('f32', 'bf16', 'f16')),
    'Dtype that weights are written in; null: as they are stored.',
  ),
  maxShardBytes: configKey(
    optional(wholeFrom(1e10, 1000)),
    'The most bytes of weights in one file; larger models are cut into shards. null: one file for each model.',
  ),
} as const;

/** The settings of `convert`. */
export type ConvertSettings = SettingsOf<typeof convertKeys>;
