import { decodeLines, FormatError, quote, TensorError } from '../../tensor/index.ts';
import { bytesToSymbols, symbolsToBytes } from './byteSymbols.ts';

/** The files `vocab.json` and `merges.txt` of a tokenizer, and what its configuration says. */
export interface ClipTokenizerFiles {
  /** Token → id. */
  readonly vocabulary: Readonly<Record<string, number>>;
  /** Pairs of symbols, the first to be merged first: the lines of `merges.txt` behind its version. */
  readonly merges: readonly string[];
  /** Tokens in all, with those for start and end; default 77. */
  readonly maxLength?: number;
  /** The token that fills up; default the end token. SDXL's second tokenizer has `!`. */
  readonly padToken?: string;
}

export interface ClipTokenizer {
  /** Ids of a prompt with start and end, cut to the length that the model takes, with the end token last. */
  encode(prompt: string): number[];
  /** The same, filled up to that length. */
  encodePadded(prompt: string): number[];
  decode(ids: readonly number[]): string;
  readonly maxLength: number;
  readonly startId: number;
  readonly endId: number;
}

export const startToken = '<|startoftext|>';
export const endToken = '<|endoftext|>';
/** What ends a word in the vocabulary. */
const wordEnd = '</w>';

/** What byte-pair encoding sees as words: contractions, letters, single digits, and runs of anything else. */
const words = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/giu;

/** White space collapsed, lower case. Broken Unicode is taken as it is. */
export const cleanPrompt = (prompt: string): string =>
  prompt.normalize('NFC').replace(/\s+/gu, ' ').trim().toLowerCase();

/** The words of a text that has been cleaned. */
export const wordsOf = (text: string): string[] => [...text.matchAll(words)].map(([word]) => word);

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/**
 * CLIP's byte-pair encoding (Radford et al. 2021; transformers' CLIPTokenizer). Start, end and pad token are found in
 * prompts too, as there. Throws where the vocabulary lacks one of them.
 */
export function clipTokenizer({
  vocabulary,
  merges,
  maxLength = 77,
  padToken = endToken,
}: ClipTokenizerFiles): ClipTokenizer {
  const idOf = (token: string): number => {
    const id = Object.hasOwn(vocabulary, token) ? vocabulary[token] : undefined;
    if (id === undefined) throw new TensorError(`clipTokenizer: the vocabulary has no token '${token}'`);
    return id;
  };
  const [startId, endId, padId] = [idOf(startToken), idOf(endToken), idOf(padToken)];
  const ranks = new Map(merges.map((pair, rank) => [pair, rank]));
  const tokens = new Map(Object.entries(vocabulary).map(([token, id]) => [id, token]));
  const special = [...new Set([startToken, endToken, padToken])];
  const specialPattern = new RegExp(`(${special.map(escaped).join('|')})`, 'iu');
  const known = new Map<string, readonly number[]>();

  /** Merges the pair that was learnt first, everywhere, until nothing is left to merge. */
  const encodeWord = (word: string): readonly number[] => {
    const cached = known.get(word);
    if (cached !== undefined) return cached;
    let symbols = [...bytesToSymbols(word)];
    symbols.push(`${symbols.pop() ?? ''}${wordEnd}`);
    for (;;) {
      let [best, first, second] = [Number.POSITIVE_INFINITY, '', ''];
      for (let i = 0; i + 1 < symbols.length; i++) {
        const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Number.POSITIVE_INFINITY;
        if (rank < best) [best, first, second] = [rank, symbols[i] as string, symbols[i + 1] as string];
      }
      if (best === Number.POSITIVE_INFINITY) break;
      symbols = merged(symbols, first, second);
    }
    // A symbol that the vocabulary lacks is "unknown", for which CLIP has the end token.
    const ids = symbols.map((symbol) => vocabulary[symbol] ?? endId);
    known.set(word, ids);
    return ids;
  };

  const encode = (prompt: string): number[] => {
    const ids = cleanPrompt(prompt)
      .split(specialPattern)
      .flatMap((part) => (special.includes(part) ? [idOf(part)] : wordsOf(part).flatMap(encodeWord)));
    return [startId, ...ids.slice(0, maxLength - 2), endId];
  };
  return {
    encode,
    encodePadded: (prompt) => {
      const ids = encode(prompt);
      return [...ids, ...new Array<number>(maxLength - ids.length).fill(padId)];
    },
    decode: (ids) =>
      symbolsToBytes(
        ids
          .filter((id) => id !== startId && id !== endId)
          .map((id) => tokens.get(id) ?? '')
          .join(''),
      )
        .replaceAll(wordEnd, ' ')
        .trim(),
    maxLength,
    startId,
    endId,
  };
}

/** Symbols with every neighbouring (first, second) made one. */
export function merged(symbols: readonly string[], first: string, second: string): string[] {
  const result: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const isPair = symbols[i] === first && symbols[i + 1] === second;
    result.push(isPair ? first + second : (symbols[i] as string));
    if (isPair) i++;
  }
  return result;
}

/**
 * The pairs of a `merges.txt`: a pair of symbols a line, behind a line `#version: 0.2` that may be missing. Spaces at the end of
 * a line and empty lines mean nothing. `file` is what messages call it.
 * @throws FormatError with the line that is no pair; for a file without pairs, or not of UTF-8
 */
export function parseMerges(bytes: Uint8Array, file: string): string[] {
  const merges = decodeLines(bytes, file).flatMap((line, i) => {
    const pair = line.trimEnd();
    if (pair === '' || (i === 0 && pair.startsWith('#version'))) return [];
    if (!/^\S+ \S+$/u.test(pair))
      throw new FormatError(
        `${file}, line ${i + 1}: ${quote(pair)} is not a pair of symbols with a space between them; is this a merges.txt?`,
      );
    return [pair];
  });
  if (merges.length === 0) throw new FormatError(`${file}: there are no pairs of symbols; is the file complete?`);
  return merges;
}
