import type { LoraLayer, LoraLayerOf } from '../../nn/index.ts';
import { flattenTree } from '../../tensor/index.ts';
import type { PipelinePart } from '../pipeline/stages.ts';
import type { TextToImageConfig } from '../pipeline/textToImage.ts';
import { unetKeysOf } from '../singleFile/unetKeys.ts';

/** The parts of a pipeline that files of LoRA have adapters for. */
export type LoraPart = Exclude<PipelinePart, 'vae'>;

/** What stands in front of the names of a part's layers: with dots in the files of diffusers, with underscores in those of kohya. */
interface Fronts {
  readonly dotted: readonly string[];
  readonly kohya: readonly [string, ...string[]];
}

/** The fronts of a part, first those that are written. */
export function frontsOf(part: LoraPart, { unet, textEncoder2 }: TextToImageConfig): Fronts {
  if (part === 'unet') return { dotted: ['unet.', ''], kohya: ['lora_unet_'] };
  if (part === 'text_encoder_2') return { dotted: ['text_encoder_2.'], kohya: ['lora_te2_'] };
  if (textEncoder2 !== undefined) return { dotted: ['text_encoder.'], kohya: ['lora_te1_', 'lora_te_'] };
  // The refiner has the second text encoder of SDXL alone.
  const isRefiner = unet.addition_embed_type === 'text_time';
  if (isRefiner) return { dotted: ['text_encoder_2.', 'text_encoder.'], kohya: ['lora_te2_', 'lora_te_'] };
  return { dotted: ['text_encoder.'], kohya: ['lora_te_', 'lora_te1_'] };
}

/** A layer's path as kohya's files have it. */
export const underscored = (path: string): string => path.replaceAll('.', '_');

const weightEnd = '.weight';

/**
 * Which layer of a pipeline a file of LoRA means: by the paths of diffusers behind `unet.`, `text_encoder.` or `text_encoder_2.`, or by
 * kohya's names, `lora_unet_…`, `lora_te_…`, `lora_te1_…` and `lora_te2_…`, which have underscores for dots and, of SDXL's UNet,
 * may be those of the original layout (`lora_unet_input_blocks_4_1_…`). A name with underscores alone cannot be taken apart: so all
 * names are made of the layers that there are, and looked up. `params` are the parameters of the parts; their names suffice.
 */
export function pipelineLoraLayers(
  config: TextToImageConfig,
  params: Readonly<Partial<Record<LoraPart, unknown>>>,
): LoraLayerOf {
  const layers = new Map<string, LoraLayer>();
  const original = unetKeysOf(config.unet);
  for (const part of Object.keys(params) as LoraPart[]) {
    const { dotted, kohya } = frontsOf(part, config);
    for (const { path: parameter } of flattenTree(params[part])) {
      if (!parameter.endsWith(weightEnd)) continue;
      const path = parameter.slice(0, -weightEnd.length);
      const layer = { model: part, path };
      for (const front of dotted) layers.set(front + path, layer);
      for (const front of kohya) layers.set(front + underscored(path), layer);
      const key = part === 'unet' ? original?.(parameter)?.key.slice(0, -weightEnd.length) : undefined;
      if (key !== undefined) for (const front of kohya) layers.set(front + underscored(key), layer);
    }
  }
  return (name) => layers.get(name);
}
