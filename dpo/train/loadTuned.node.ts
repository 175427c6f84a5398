import { type LoadPartOptions, loadPipeline, type Pipeline } from '../../diffusion/index.node.ts';
import type { UNetOptions } from '../../diffusion/index.ts';
import { openChecked } from './openChecked.node.ts';

/**
 * Loads a pipeline, in f32 unless `dtype` says otherwise, with the LoRA adapters of `lora`, a file or FILE:scale, merged into its
 * weights.
 * @throws TensorError where weights are NaN or infinite, as every image would be
 */
export async function loadTuned(
  path: string,
  lora: string | null,
  options: LoadPartOptions & UNetOptions = {},
): Promise<Pipeline> {
  const source = await openChecked(path, { loras: lora === null ? [] : [lora] });
  return await loadPipeline(source, { dtype: 'f32', ...options });
}
