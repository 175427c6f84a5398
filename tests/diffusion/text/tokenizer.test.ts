import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClipTokenizerFiles, clipTokenizer, learnTokenizer } from 'diffusion-dpo/diffusion';
import { loadTokenizerFolder, saveTokenizerFolder } from 'diffusion-dpo/diffusion/node';
import { afterAll, describe, expect, test } from 'vitest';

const folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
afterAll(() => rm(folder, { recursive: true }));
const captions = ['a photo of a cat', 'a photo of a dog', 'photos of cats'];
const learned = learnTokenizer(captions, { merges: 20, maxLength: 12 });
const size = Object.keys(learned.vocabulary).length;
const plain = join(folder, 'plain');
await saveTokenizerFolder(plain, learned);
const plainText = async (name: string): Promise<string> => readFile(join(plain, name), 'utf8');
const merges = await plainText('merges.txt');

/** A folder like the plain one, with some files changed. */
let count = 0;
async function changed(files: Readonly<Record<string, string | Uint8Array | object>>): Promise<string> {
  const path = join(folder, String(count++));
  await cp(plain, path, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const isJson = typeof content === 'object' && !(content instanceof Uint8Array);
    const json = isJson
      ? { ...(name === 'tokenizer_config.json' ? JSON.parse(await plainText(name)) : {}), ...content }
      : {};
    await writeFile(join(path, name), isJson ? JSON.stringify(json) : (content as string));
  }
  return path;
}
const tokenizerOf = async (path: string) => clipTokenizer(await loadTokenizerFolder(path));
const problemOf = async (files: Parameters<typeof changed>[0]): Promise<string> =>
  loadTokenizerFolder(await changed(files)).then(
    () => 'nothing was thrown',
    (error: Error) => error.message.slice(folder.length),
  );

test('prompts are cut to the length, with the end token last; symbols that the vocabulary lacks are the unknown token', () => {
  const vocabulary = { 'a</w>': 0, b: 1, '<|startoftext|>': 2, '<|endoftext|>': 3, '<unk>': 4, '!': 5 };
  const tokenizer = { vocabulary, merges: [], maxLength: 5, padToken: '!' };
  expect(clipTokenizer(tokenizer).encode('a x')).toEqual([2, 0, 3, 3]);
  const { encode, encodePadded, decode } = clipTokenizer({ ...tokenizer, unknownToken: '<unk>' });
  expect(encode('a x')).toEqual([2, 0, 4, 3]);
  expect(encode('a a a a a a')).toEqual([2, 0, 0, 0, 3]);
  expect(encodePadded('a')).toEqual([2, 0, 3, 5, 5]);
  expect(decode(encode('a  A'))).toBe('a a');
});

describe('merges.txt', () => {
  const prompt = 'a photo of a cat and dogs';
  const expected = clipTokenizer(learned).encode(prompt);

  test.each([
    ['LF', merges],
    ['CRLF', merges.replaceAll('\n', '\r\n')],
    ['spaces at the ends of lines', merges.replaceAll('\n', ' \t\n')],
    ['spaces and CRLF', merges.replaceAll('\n', '  \r\n')],
    ['a byte order mark', `\ufeff${merges}`],
    ['a byte order mark and no version', `\ufeff${merges.slice(merges.indexOf('\n') + 1)}`],
    ['no end of the last line', merges.trimEnd()],
    ['empty lines', merges.replaceAll('\n', '\n\n')],
  ])('gives the same tokens with %s', async (_, text) => {
    expect(clipTokenizer(learned).encode('a photo of a cat')).toHaveLength(7);
    expect((await tokenizerOf(await changed({ 'merges.txt': text }))).encode(prompt)).toEqual(expected);
  });

  test.each([
    ['empty', '', /merges\.txt: the file is empty$/],
    ['empty lines alone', '\n \r\n', /merges\.txt: the file is empty$/],
    [
      'cut short at a line',
      merges.split('\n').slice(0, 12).join('\n'),
      /merges\.txt: of the 13 longer tokens of the vocabulary 2, such as ".*", are made by no pair/,
    ],
    ['a version alone', '#version: 0.2\n', /merges\.txt: of the 13 longer tokens of the vocabulary 13/],
    [
      'of another model',
      '#version: 0.2\nĠ t\n',
      /merges\.txt: the pair "Ġ t" makes a token that the vocabulary does not have/,
    ],
    ['prose', 'Entry not found', /merges\.txt, line 1: "Entry not found" is not a pair of symbols/],
    ['JSON', '{"a": 1}', /merges\.txt: the pair/],
    ['of lines that end with CR', merges.replaceAll('\n', '\r'), /merges\.txt, line 1: holds a carriage return/],
    ['of two spaces', '#version: 0.2\na  b\n', /merges\.txt, line 2: "a {2}b" is not a pair/],
    [
      'bytes',
      Uint8Array.of(0x80, 2, 0x7d, 1),
      /merges\.txt is not valid UTF-8: byte 0 is 0x80, and there are control characters/,
    ],
    ['in UTF-16', Buffer.from(`\ufeff${merges}`, 'utf16le'), /merges\.txt is not UTF-8 but UTF-16/],
    [
      'in Latin-1',
      Buffer.from('#version: 0.2\nf é\n', 'latin1'),
      /merges\.txt is not valid UTF-8: line 2, byte 16 is 0xe9, which looks like Latin-1/,
    ],
    [
      'a pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 524619\n',
      /merges\.txt: this is a Git LFS pointer/,
    ],
    ['a page', '<!doctype html>', /merges\.txt: this is an HTML page/],
  ])('is refused that is %s', async (_, text, message) => {
    expect(await problemOf({ 'merges.txt': text })).toMatch(message);
  });

  test('may have no pairs where the vocabulary has none', async () => {
    const bytes = learnTokenizer(captions, { merges: 0, maxLength: 5 });
    await saveTokenizerFolder(join(folder, 'bytes'), bytes);
    expect((await loadTokenizerFolder(join(folder, 'bytes'))).merges).toEqual([]);
  });
});

describe('vocab.json', () => {
  const { vocabulary } = learned;
  const { '<|startoftext|>': _, ...withoutStart } = vocabulary;
  test.each([
    ['empty', '', /vocab\.json is not valid JSON/],
    ['an empty object', '{}', /vocab\.json: there are no tokens/],
    ['a list', '[]', /vocab\.json: must hold a JSON object/],
    [
      'of another model',
      JSON.stringify({ '[CLS]': 0, '[SEP]': 1, a: 2 }),
      /vocab\.json: there is no token "<\|startoftext\|>", which is the start token; is it of another model\?/,
    ],
    ['without a start', JSON.stringify(withoutStart), /no token "<\|startoftext\|>"/],
    [
      'of ids that are none',
      JSON.stringify({ ...vocabulary, a: -1 }),
      /vocab\.json: the id of "a" must be a whole number, but is -1/,
    ],
    [
      'of equal ids',
      JSON.stringify({ ...vocabulary, zzz: 5 }),
      /vocab\.json: the tokens ".*" and "zzz" have the same id, 5/,
    ],
    [
      'a pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n',
      /vocab\.json: this is a Git LFS pointer/,
    ],
  ])('is refused that is %s', async (_, text, message) => {
    expect(await problemOf({ 'vocab.json': text })).toMatch(message);
  });
});

describe('added tokens', () => {
  const config = 'tokenizer_config.json';
  const added = { content: '<cat-toy>', lstrip: false, normalized: true, rstrip: false, single_word: false };
  const [start, end] = [size - 2, size - 1];
  const wordIds = (text: string) => clipTokenizer(learned).encode(text).slice(1, -1);

  test.each([
    ['added_tokens.json', { 'added_tokens.json': { '<cat-toy>': size, '<cat-toy>_1': size + 1 } }],
    [
      'added_tokens_decoder',
      { [config]: { added_tokens_decoder: { [size]: added, [size + 1]: { ...added, content: '<cat-toy>_1' } } } },
    ],
    [
      'both',
      {
        'added_tokens.json': { '<cat-toy>': size, '<cat-toy>_1': size + 1 },
        [config]: { added_tokens_decoder: { [size]: added } },
      },
    ],
  ])('of %s are one id each, wherever they stand', async (_, files) => {
    const { encode, decode } = await tokenizerOf(await changed(files));
    expect(encode('a photo of <cat-toy>')).toEqual([start, ...wordIds('a photo of'), size, end]);
    expect(encode('Photos<Cat-Toy>cats <cat-toy>_1')).toEqual([
      start,
      ...wordIds('photos'),
      size,
      ...wordIds('cats'),
      size + 1,
      end,
    ]);
    expect(decode(encode('a photo of <cat-toy> cats'))).toBe('a photo of <cat-toy> cats');
  });

  test('are found exactly, or as single words, where they say so', async () => {
    const tokens = {
      [size]: { ...added, content: 'SKS', normalized: false },
      [size + 1]: { ...added, content: 'hat', single_word: true },
    };
    const { encode } = await tokenizerOf(await changed({ [config]: { added_tokens_decoder: tokens } }));
    expect(encode('SKS sks')).toEqual([start, size, ...wordIds('sks'), end]);
    expect(encode('hats hat.')).toEqual([start, ...wordIds('hats'), size + 1, ...wordIds('.'), end]);
    expect(encode('1hat')).toEqual([start, ...wordIds('1hat'), end]);
  });

  test('are found however their letters are written, unless they say so', async () => {
    const { encode, decode } = await tokenizerOf(await changed({ 'added_tokens.json': { '<MyCat>': size } }));
    expect(encode('<MyCat><mycat> <MYCAT>')).toEqual([start, size, size, size, end]);
    expect(decode([start, size, end])).toBe('<MyCat>');
  });

  test('are those of the vocabulary too that are said to be special', async () => {
    const files = {
      'vocab.json': JSON.stringify({ ...learned.vocabulary, '<style>': size }),
      'special_tokens_map.json': { additional_special_tokens: [{ content: '<style>' }] },
    };
    expect((await tokenizerOf(await changed(files))).encode('a<style>')).toEqual([start, ...wordIds('a'), size, end]);
  });

  test('may be the start, end and pad token', async () => {
    const files = {
      'added_tokens.json': { '<e>': size, '<p>': size + 1 },
      'special_tokens_map.json': { eos_token: { content: '<e>' }, pad_token: '<p>' },
    };
    const { encode, encodePadded, endId } = await tokenizerOf(await changed(files));
    expect(endId).toBe(size);
    expect(encode('a')).toEqual([start, ...wordIds('a'), size]);
    expect(encodePadded('a').slice(3)).toEqual(new Array(9).fill(size + 1));
    expect(await problemOf({ [config]: { eos_token: '<e>' }, 'special_tokens_map.json': {} })).toContain(
      'vocab.json: there is no token "<e>", which is the end token',
    );
  });

  test('are written and read again, and go where there are none', async () => {
    const files: ClipTokenizerFiles = {
      ...learned,
      startToken: '<|startoftext|>',
      endToken: '<e>',
      padToken: '<|endoftext|>',
      unknownToken: '<|endoftext|>',
      addedTokens: [
        { content: '<e>', id: size, normalized: true, singleWord: false },
        { content: 'SKS', id: size + 1, normalized: false, singleWord: true },
      ],
    };
    const path = join(folder, 'again');
    await saveTokenizerFolder(path, files);
    expect(await loadTokenizerFolder(path)).toEqual(files);
    await saveTokenizerFolder(path, learned);
    expect((await readdir(path)).sort()).toEqual((await readdir(plain)).sort());
    expect((await loadTokenizerFolder(path)).addedTokens).toEqual([]);
  });

  test.each([
    [
      'an id of the vocabulary',
      { 'added_tokens.json': { '<x>': 3 } },
      /added_tokens\.json: the added token "<x>" has the id 3, which is that of "/,
    ],
    [
      'two ids',
      { 'added_tokens.json': { '<cat-toy>': 700 }, [config]: { added_tokens_decoder: { [size]: added } } },
      /has two ids, \d+ and 700/,
    ],
    [
      'an id that is none',
      { 'added_tokens.json': { '<x>': 1.5 } },
      /added_tokens\.json: the id of "<x>" must be a whole number, but is 1\.5/,
    ],
    [
      'no text',
      { [config]: { added_tokens_decoder: { [size]: {} } } },
      /tokenizer_config\.json: added_tokens_decoder must be an object from ids to/,
    ],
    [
      'another id than in the vocabulary',
      { 'added_tokens.json': { '<|endoftext|>': size } },
      /has the id \d+, but \d+ in the vocabulary/,
    ],
  ])('are refused that have %s', async (_, files, message) => {
    expect(await problemOf(files)).toMatch(message);
  });
});
