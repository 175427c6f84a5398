import { openSafetensorsFile, saveSafetensors } from '../../tensor/index.node.ts';
import type { LoraAdapters } from './adapter.ts';
import { loraTensors, readLora } from './file.ts';

/** Reads a `pytorch_lora_weights.safetensors`; see `readLora`. */
export async function loadLora<M extends Readonly<Record<string, unknown>>>(
  path: string,
  models: M,
): Promise<{ [Model in keyof M]: LoraAdapters }> {
  await using file = await openSafetensorsFile(path);
  return await readLora(file, models);
}

/**
 * Writes a `pytorch_lora_weights.safetensors`, which diffusers' `load_lora_weights` reads; see `loraTensors`. At any moment
 * there is the old file or the new one.
 */
export const saveLora = (path: string, models: Readonly<Record<string, LoraAdapters>>): Promise<void> =>
  saveSafetensors(path, loraTensors(models), { metadata: { format: 'pt' } });
