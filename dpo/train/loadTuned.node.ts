import { type LoadPipelineOptions, loadPipelineFolder, type Pipeline } from '../../diffusion/index.node.ts';
import { mergeLora, readLora } from '../../nn/index.ts';
import { openSafetensorsFile } from '../../tensor/index.node.ts';
import { dispose, realize } from '../../tensor/index.ts';

/** A pipeline in f32, with adapters merged into its UNet, if a file of them is given. */
export async function loadTuned(
  folder: string,
  lora: string | null,
  options: Omit<LoadPipelineOptions, 'dtype'> = {},
): Promise<Pipeline> {
  const pipeline = await loadPipelineFolder(folder, { ...options, dtype: 'f32' });
  if (lora === null) return pipeline;
  await using file = await openSafetensorsFile(lora);
  const { unet: adapters } = await readLora(file, { unet: pipeline.params.unet });
  const unet = await realize(mergeLora(pipeline.params.unet, adapters));
  dispose(adapters);
  return { ...pipeline, params: { ...pipeline.params, unet } };
}
