import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt } from '../../tensor/index.node.ts';
import { FormatError } from '../../tensor/index.ts';
import { readObject } from '../checkpoint/readObject.node.ts';

/** Classes of parts that are published alone, and what to do with them. */
const parts: readonly (readonly [name: RegExp, what: string])[] = [
  [/^UNet/, 'a UNet alone: give it with --unet, beside the model'],
  [/^Autoencoder/, 'an autoencoder alone: give it with --vae, beside the model'],
  [/^CLIPText/, 'a text encoder alone'],
];

/** What a folder without `model_index.json` is, as far as its files tell; undefined where they do not. */
async function describe(folder: string, files: readonly string[]): Promise<string | undefined> {
  const isLora = (file: string) => /lora.*\.safetensors$/.test(file) || file === 'adapter_config.json';
  if (files.some(isLora))
    return 'this is the folder of a LoRA, which changes a model and holds none: give it with --lora';
  if (files.includes('config.json')) {
    const { _class_name, architectures } = await readObject(join(folder, 'config.json'));
    const name = String(_class_name ?? (Array.isArray(architectures) ? architectures[0] : ''));
    const found = parts.find(([pattern]) => pattern.test(name));
    if (found !== undefined) return `this is the folder of ${found[1]}`;
  }
  for (const part of ['unet', 'vae'])
    if (files.includes(part))
      return `there is a folder ${part}/, but no model_index.json; where it is a part that is published alone, give it with --${part}, beside the model`;
  const single = files.filter((file) => file.endsWith('.safetensors'));
  if (single.length > 0)
    return `there is no model_index.json; a checkpoint of one file is opened by its own name: ${single
      .slice(0, 5)
      .map((file) => join(folder, file))
      .join(' or ')}`;
  const pickles = files.filter((file) => /\.(ckpt|pt|pth|bin)$/.test(file));
  return pickles.length > 0
    ? `there is no model_index.json, only ${pickles.slice(0, 5).join(', ')}: pickles, which can hold programs and are never read`
    : undefined;
}

/**
 * Refuses a folder that is no pipeline, where its files tell what it is instead.
 * @throws FormatError that says so, and what to do
 */
export async function refuseOtherFolder(folder: string): Promise<void> {
  const files = await attempt('open', folder, readdir(folder));
  if (files.includes('model_index.json')) return;
  const what = await describe(folder, files);
  if (what !== undefined) throw new FormatError(`${folder}: ${what}`);
}
