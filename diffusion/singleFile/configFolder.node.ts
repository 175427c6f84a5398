import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt } from '../../tensor/index.node.ts';
import { FormatError } from '../../tensor/index.ts';
import { checked } from '../checkpoint/checked.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { modelFor } from '../checkpoint/models.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import { noisingFromConfig } from '../samplers/fromConfig.ts';
import type { ClipTokenizerFiles } from '../text/clipTokenizer.ts';
import { loadTokenizerFolder } from '../text/tokenizerFolder.node.ts';
import type { PartConfigs } from './chooseConfigs.ts';

/** What a folder of configurations says of a pipeline. */
export interface ConfigFolder extends PartConfigs {
  readonly scheduler: JsonObject;
  /** Those of the text encoders, where the folder has them. */
  readonly tokenizers: readonly ClipTokenizerFiles[];
  /** What `model_index.json` says, where there is one. */
  readonly forceZerosForEmptyPrompt: boolean | undefined;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * Reads a folder of configurations, laid out as that of a pipeline of diffusers: `unet/config.json`, `scheduler/`, one text encoder
 * or two, and `vae/` and tokenizers where they are there. Weights, which it may have, are not looked at.
 * @throws FormatError that names the file and what is wrong with it
 */
export async function readConfigFolder(folder: string): Promise<ConfigFolder> {
  await attempt('open', folder, access(folder));
  const configOf = async (part: string): Promise<JsonObject> => {
    const path = join(folder, part, 'config.json');
    const config = await readObject(path);
    checked(path, () => modelFor(config, path).build(config));
    return config;
  };
  const optional = async (part: string): Promise<JsonObject | undefined> =>
    (await isThere(join(folder, part, 'config.json'))) ? configOf(part) : undefined;
  const unet = await configOf('unet');
  const found = [await optional('text_encoder'), await optional('text_encoder_2')];
  const [first, ...others] = found.filter((one) => one !== undefined);
  if (first === undefined)
    throw new FormatError(`${folder}: has neither text_encoder/config.json nor text_encoder_2/config.json`);
  const schedulerPath = join(folder, 'scheduler', 'scheduler_config.json');
  const scheduler = await readObject(schedulerPath);
  checked(schedulerPath, () => noisingFromConfig(scheduler));
  const indexPath = join(folder, 'model_index.json');
  const index = (await isThere(indexPath)) ? await readObject(indexPath) : undefined;
  return {
    ...{ name: `the model of ${folder}`, unet, texts: [first, ...others], vae: await optional('vae'), scheduler },
    tokenizers: await tokenizersIn(folder),
    forceZerosForEmptyPrompt: index && index.force_zeros_for_empty_prompt === true,
  };
}

/** The tokenizers of a pipeline's folder, in the order of its text encoders. */
export async function tokenizersIn(folder: string): Promise<ClipTokenizerFiles[]> {
  const found: ClipTokenizerFiles[] = [];
  for (const name of ['tokenizer', 'tokenizer_2'])
    if (await isThere(join(folder, name))) found.push(await loadTokenizerFolder(join(folder, name)));
  return found;
}
