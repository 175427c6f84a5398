import { join } from 'node:path';
import { readWhole } from '../../tensor/index.node.ts';
import { FormatError } from '../../tensor/index.ts';
import { formatObject, type JsonObject } from '../checkpoint/json.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import { replaceFiles, writeText } from '../checkpoint/replaceFiles.node.ts';
import { type ClipTokenizerFiles, endToken, parseMerges, startToken } from './clipTokenizer.ts';

const names = {
  vocabulary: 'vocab.json',
  merges: 'merges.txt',
  config: 'tokenizer_config.json',
  special: 'special_tokens_map.json',
} as const;

/** Longer prompts than any model takes; transformers writes 10³⁰ for "no limit". */
const longestPrompt = 65_536;

/**
 * Reads the folder of a transformers' CLIPTokenizer: `vocab.json`, `merges.txt` and `tokenizer_config.json`.
 * @throws FormatError that names the file: a vocabulary whose ids are not whole numbers, no `model_max_length`, a pad
 * token that is no text.
 */
export async function loadTokenizerFolder(folder: string): Promise<ClipTokenizerFiles> {
  const object = (name: string): Promise<JsonObject> => readObject(join(folder, name));
  const vocabulary = await object(names.vocabulary);
  const wrong = Object.entries(vocabulary).find(([, id]) => !(Number.isInteger(id) && (id as number) >= 0));
  if (wrong !== undefined)
    throw new FormatError(
      `${join(folder, names.vocabulary)}: the id of ${JSON.stringify(wrong[0])} must be a whole number, but is ${JSON.stringify(wrong[1])}`,
    );
  const config = await object(names.config);
  const maxLength = config.model_max_length;
  if (!(Number.isInteger(maxLength) && (maxLength as number) >= 2 && (maxLength as number) <= longestPrompt))
    throw new FormatError(
      `${join(folder, names.config)}: model_max_length must be a whole number from 2 to ${longestPrompt}, but is ${JSON.stringify(maxLength)}`,
    );
  return {
    vocabulary: vocabulary as Readonly<Record<string, number>>,
    merges: parseMerges(await readWhole(join(folder, names.merges)), join(folder, names.merges)),
    maxLength: maxLength as number,
    padToken: tokenText(config.pad_token ?? endToken, join(folder, names.config)),
  };
}

/** Tokens are texts, or objects with their `content`. */
function tokenText(token: unknown, file: string): string {
  const text = typeof token === 'object' && token !== null ? (token as JsonObject).content : token;
  if (typeof text === 'string') return text;
  throw new FormatError(
    `${file}: pad_token must be a text, or an object with "content", but is ${JSON.stringify(token)}`,
  );
}

/** Writes the folder of a CLIPTokenizer, which transformers can load too. All files are replaced together. */
export async function saveTokenizerFolder(
  folder: string,
  { vocabulary, merges, maxLength = 77, padToken = endToken }: ClipTokenizerFiles,
): Promise<void> {
  const special = { bos_token: startToken, eos_token: endToken, unk_token: endToken, pad_token: padToken };
  const files: Readonly<Record<string, string>> = {
    [names.vocabulary]: `${JSON.stringify(vocabulary)}\n`,
    [names.merges]: `#version: 0.2\n${merges.map((pair) => `${pair}\n`).join('')}`,
    [names.config]: formatObject({
      ...special,
      add_prefix_space: false,
      do_lower_case: true,
      errors: 'replace',
      model_max_length: maxLength,
      tokenizer_class: 'CLIPTokenizer',
    }),
    [names.special]: formatObject(special),
  };
  await replaceFiles(
    folder,
    async (staging) => {
      for (const [name, text] of Object.entries(files)) await writeText(join(staging, name), text);
    },
    (file) => Object.hasOwn(files, file),
  );
}
