import { type LoadPipelineOptions, loadPipelineFolder, type Pipeline } from '../../diffusion/index.node.ts';
import { mergeLora, readLora } from '../../nn/index.ts';
import { openSafetensorsFile } from '../../tensor/index.node.ts';
import { dispose, realize, TensorError } from '../../tensor/index.ts';
import { notFinite } from './notFinite.ts';

/**
 * Loads a model folder in f32, and merges the LoRA adapters of the file `lora` into its UNet, if one is given.
 * @throws TensorError where weights are NaN or infinite, as every image would be
 */
export async function loadTuned(
  folder: string,
  lora: string | null,
  options: Omit<LoadPipelineOptions, 'dtype'> = {},
): Promise<Pipeline> {
  const pipeline = await loadPipelineFolder(folder, { ...options, dtype: 'f32' });
  await refuseNotFinite(folder, pipeline.params);
  if (lora === null) return pipeline;
  await using file = await openSafetensorsFile(lora);
  const { unet: adapters } = await readLora(file, { unet: pipeline.params.unet });
  const unet = await realize(mergeLora(pipeline.params.unet, adapters));
  dispose(adapters);
  await refuseNotFinite(lora, { unet });
  return { ...pipeline, params: { ...pipeline.params, unet } };
}

async function refuseNotFinite(path: string, params: unknown): Promise<void> {
  const found = await notFinite(params);
  if (found.length > 0)
    throw new TensorError(
      `${path}: there are weights that are NaN or infinite, so nothing can be drawn with it; they begin with: ${found.join(', ')}`,
    );
}
