import { type LoraFile, mergeLoras, openLora, type WeightedLora } from '../../nn/index.ts';
import { dispose, flattenTree, realize, replaceLeaves, type SafetensorsReader } from '../../tensor/index.ts';
import type { TextToImageConfig, TextToImageParams } from '../pipeline/textToImage.ts';
import { type LoraPart, pipelineLoraLayers } from './layerNames.ts';
import { refuseOtherFile } from './otherFile.ts';

/** A pipeline that a LoRA is for. */
export interface LoraTarget {
  readonly config: TextToImageConfig;
  /** The parameters of its parts, of which only names and shapes count: such as `textToImage(config).init(key)`. */
  readonly params: Pick<TextToImageParams, LoraPart>;
  /** The folder or file of the model, as errors name it. */
  readonly place: string;
}

/**
 * Finds the adapters of a file for the UNet and the text encoders of a pipeline, in any of the formats in use: PEFT's and diffusers'
 * names, old and new, and kohya's, with diffusers' or the original block names. Every tensor must have its place.
 * @throws FormatError that says what the file is instead (a checkpoint, a LoRA of another model, another method), or lists all
 * tensors that cannot be applied
 */
export async function openPipelineLora(
  reader: SafetensorsReader,
  { config, params, place }: LoraTarget,
): Promise<LoraFile<LoraPart>> {
  const { unet, text_encoder, text_encoder_2 } = params;
  await refuseOtherFile(reader, unet, place);
  const models: Partial<Record<LoraPart, unknown>> = {
    unet,
    text_encoder,
    ...(text_encoder_2 !== undefined && { text_encoder_2 }),
  };
  const layerOf = pipelineLoraLayers(config, models);
  return openLora(reader, models as Record<LoraPart, unknown>, { layerOf, target: `the model ${place}` });
}

/**
 * Merges adapters into the parameters of a part, weight by weight: see `mergeLoras`. Each weight that changes is disposed of as soon as
 * its successor is computed, so that no second copy of the part is held, and the adapters at the end; neither they nor `params` may be used afterwards.
 */
export async function mergeIntoPart<P>(params: P, loras: readonly WeightedLora[]): Promise<P> {
  const before = flattenTree(params);
  const merged = flattenTree(mergeLoras(params, loras));
  const leaves = [];
  for (const [i, { tensor }] of merged.entries()) {
    const old = before[i]?.tensor;
    if (old === undefined || tensor === old) leaves.push(tensor);
    else leaves.push(await realize(tensor, { donate: old }));
  }
  dispose(loras.map(({ adapters }) => adapters));
  return replaceLeaves(params, leaves);
}
