import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, readWhole } from '../../tensor/index.node.ts';
import { FormatError, quote } from '../../tensor/index.ts';
import { formatObject, type JsonObject } from '../checkpoint/json.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import { replaceFiles, writeText } from '../checkpoint/replaceFiles.node.ts';
import { type AddedToken, type ClipTokenizerFiles, parseMerges, withDefaults } from './clipTokenizer.ts';
import { tokenizerProblem } from './tokenizerProblems.ts';

const names = {
  vocabulary: 'vocab.json',
  merges: 'merges.txt',
  config: 'tokenizer_config.json',
  special: 'special_tokens_map.json',
  added: 'added_tokens.json',
} as const;

/** Longer prompts than any model takes; transformers writes 10³⁰ for "no limit". */
const longestPrompt = 65_536;

/**
 * Reads the folder of a transformers' CLIPTokenizer: `vocab.json`, `merges.txt` and `tokenizer_config.json`, with the tokens
 * that were added to it (`added_tokens_decoder` in the last, or `added_tokens.json`) and `special_tokens_map.json`.
 * @throws FormatError that names the file: ids that are not whole numbers or that two tokens have, no `model_max_length`, a
 * start, end or pad token that is not there, pairs that are not those of the vocabulary
 */
export async function loadTokenizerFolder(folder: string): Promise<ClipTokenizerFiles> {
  const present = new Set(await attempt('read', folder, readdir(folder)));
  const object = (name: string): Promise<JsonObject> => readObject(join(folder, name));
  const optional = async (name: string): Promise<JsonObject> => (present.has(name) ? object(name) : {});
  const vocabulary = idsOf(await object(names.vocabulary), join(folder, names.vocabulary));
  const config = await object(names.config);
  const configPath = join(folder, names.config);
  const maxLength = config.model_max_length;
  if (!(Number.isInteger(maxLength) && (maxLength as number) >= 2 && (maxLength as number) <= longestPrompt))
    throw new FormatError(
      `${configPath}: model_max_length must be a whole number from 2 to ${longestPrompt}, but is ${JSON.stringify(maxLength)}`,
    );
  const { added_tokens_decoder: decoder } = config;
  const listed = decoder === undefined ? [] : decodedTokens(decoder, configPath);
  const legacy = idsOf(await optional(names.added), join(folder, names.added));
  // As in transformers: where the configuration does not list the added tokens, the older file counts more.
  const special = await optional(names.special);
  const said = decoder === undefined ? { ...config, ...special } : { ...special, ...config };
  const more = said.additional_special_tokens ?? [];
  const whole = (Array.isArray(more) ? more : [more])
    .map((one) => tokenText(one, 'additional_special_tokens', configPath))
    .flatMap((content) =>
      Object.hasOwn(vocabulary, content) ? [[content, vocabulary[content] as number] as const] : [],
    );
  const ids = new Map([...Object.entries(legacy), ...whole]);
  const addedTokens = [...listed, ...[...ids].flatMap(([content, id]) => unlisted(listed, content, id))];
  const token = (name: string, field: string): Readonly<Record<string, string>> =>
    said[field] == null ? {} : { [name]: tokenText(said[field], field, configPath) };
  const files = withDefaults({
    vocabulary,
    merges: parseMerges(await readWhole(join(folder, names.merges)), join(folder, names.merges)),
    maxLength: maxLength as number,
    ...token('startToken', 'bos_token'),
    ...token('endToken', 'eos_token'),
    ...token('padToken', 'pad_token'),
    ...token('unknownToken', 'unk_token'),
    addedTokens,
  });
  const wrong = tokenizerProblem(files);
  if (wrong === undefined) return files;
  const place = wrong.file === 'added' && !present.has(names.added) ? names.config : names[wrong.file];
  throw new FormatError(`${join(folder, place)}: ${wrong.problem}`);
}

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Ids by tokens, as two files have them. */
function idsOf(json: JsonObject, file: string): Readonly<Record<string, number>> {
  const wrong = Object.entries(json).find(([, id]) => !isId(id));
  if (wrong === undefined) return json as Readonly<Record<string, number>>;
  throw new FormatError(
    `${file}: the id of ${quote(wrong[0])} must be a whole number, but is ${JSON.stringify(wrong[1])}`,
  );
}

/** Added tokens by ids, each {content, normalized, single_word, …}. */
function decodedTokens(decoder: unknown, file: string): AddedToken[] {
  if (typeof decoder !== 'object' || decoder === null || Array.isArray(decoder))
    throw new FormatError(`${file}: added_tokens_decoder must be an object from ids to tokens`);
  return Object.entries(decoder).map(([id, token]: [string, unknown]) => {
    const { content, normalized, single_word } = (token ?? {}) as JsonObject;
    if (!/^\d+$/.test(id) || !isId(Number(id)) || typeof content !== 'string' || content === '')
      throw new FormatError(
        `${file}: added_tokens_decoder must be an object from ids to {"content": …}, but has ${quote(JSON.stringify({ [id]: token }))}`,
      );
    return { content, id: Number(id), normalized: normalized !== false, singleWord: single_word === true };
  });
}

/** A token of another file, unless it is listed with the same id. */
const unlisted = (listed: readonly AddedToken[], content: string, id: number): AddedToken[] =>
  listed.some((one) => one.content === content && one.id === id) ? [] : [{ content, id }];

/** Tokens are texts, or objects with their `content`. */
function tokenText(token: unknown, name: string, file: string): string {
  const text = typeof token === 'object' && token !== null ? (token as JsonObject).content : token;
  if (typeof text === 'string') return text;
  throw new FormatError(
    `${file}: ${name} must be a text, or an object with "content", but is ${JSON.stringify(token)}`,
  );
}

/** Writes the folder of a CLIPTokenizer, which transformers can load too. All files are replaced together. */
export async function saveTokenizerFolder(folder: string, tokenizer: ClipTokenizerFiles): Promise<void> {
  const { vocabulary, merges, maxLength, startToken, endToken, padToken, unknownToken, addedTokens } =
    withDefaults(tokenizer);
  const special = { bos_token: startToken, eos_token: endToken, unk_token: unknownToken, pad_token: padToken };
  const decoder = Object.fromEntries(
    addedTokens.map(({ content, id, normalized = true, singleWord = false }) => [
      id,
      {
        content,
        lstrip: false,
        normalized,
        rstrip: false,
        single_word: singleWord,
        special: Object.values(special).includes(content),
      },
    ]),
  );
  const hasAdded = addedTokens.length > 0;
  const files: Readonly<Record<string, string>> = {
    [names.vocabulary]: `${JSON.stringify(vocabulary)}\n`,
    [names.merges]: `#version: 0.2\n${merges.map((pair) => `${pair}\n`).join('')}`,
    [names.config]: formatObject({
      ...special,
      ...(hasAdded ? { added_tokens_decoder: decoder } : {}),
      add_prefix_space: false,
      do_lower_case: true,
      errors: 'replace',
      model_max_length: maxLength,
      tokenizer_class: 'CLIPTokenizer',
    }),
    [names.special]: formatObject(special),
    // Versions of transformers before 4.34 read this one.
    ...(hasAdded
      ? { [names.added]: formatObject(Object.fromEntries(addedTokens.map(({ content, id }) => [content, id]))) }
      : {}),
  };
  await replaceFiles(
    folder,
    async (staging) => {
      for (const [name, text] of Object.entries(files)) await writeText(join(staging, name), text);
    },
    (file) => (Object.values(names) as readonly string[]).includes(file),
  );
}
