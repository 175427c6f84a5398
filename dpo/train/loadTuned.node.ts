import { type LoadPipelineOptions, loadPipelineFolder, type Pipeline } from '../../diffusion/index.node.ts';
import { mergeLora, readLora } from '../../nn/index.ts';
import { openSafetensorsFile } from '../../tensor/index.node.ts';
import { dispose, realize } from '../../tensor/index.ts';
import { refuseNotFinite } from './notFinite.ts';
import type { UNetParams } from './runPlan.ts';

/**
 * Loads a model folder, in f32 unless `dtype` says otherwise, and merges the LoRA adapters of the file `lora` into its UNet, if one
 * is given.
 * @throws TensorError where weights are NaN or infinite, as every image would be
 */
export async function loadTuned(
  folder: string,
  lora: string | null,
  options: LoadPipelineOptions = {},
): Promise<Pipeline> {
  const pipeline = await loadPipelineFolder(folder, { dtype: 'f32', ...options });
  await refuseNotFinite(folder, pipeline.params);
  if (lora === null) return pipeline;
  return { ...pipeline, params: { ...pipeline.params, unet: await mergeLoraFile(pipeline.params.unet, lora) } };
}

/**
 * Merges the adapters of a file into a UNet's parameters, which must not be used afterwards.
 * @throws TensorError where the merged weights are NaN or infinite
 */
export async function mergeLoraFile(params: UNetParams, lora: string): Promise<UNetParams> {
  await using file = await openSafetensorsFile(lora);
  const { unet: adapters } = await readLora(file, { unet: params });
  const unet = await realize(mergeLora(params, adapters));
  dispose(adapters);
  await refuseNotFinite(lora, { unet });
  return unet;
}
