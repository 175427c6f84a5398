import { decodeLines, FormatError, quote, TensorError } from '../../tensor/index.ts';
import { bytesToSymbols, symbolsToBytes } from './byteSymbols.ts';
import { repairText } from './repairText.ts';

/** A token that was added to a tokenizer, such as one of textual inversion: one id, wherever it stands in a prompt. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Whether it is found in prompts however its letters are written; default true. Otherwise capitals count. */
  readonly normalized?: boolean;
  /** Whether it is found only where no letter or digit is right beside it; default false. */
  readonly singleWord?: boolean;
}

/** The files `vocab.json` and `merges.txt` of a tokenizer, and what its other files say. */
export interface ClipTokenizerFiles {
  /** Token → id. */
  readonly vocabulary: Readonly<Record<string, number>>;
  /** Pairs of symbols, the first to be merged first: the lines of `merges.txt` behind its version. */
  readonly merges: readonly string[];
  /** Tokens in all, with those for start and end; default 77. */
  readonly maxLength?: number;
  /** Default `<|startoftext|>`. */
  readonly startToken?: string;
  /** Default `<|endoftext|>`. */
  readonly endToken?: string;
  /** The token that fills up; default the end token. SDXL's second tokenizer has `!`. */
  readonly padToken?: string;
  /** The token for symbols that the vocabulary lacks; default the end token. */
  readonly unknownToken?: string;
  /** Beside the vocabulary; default none. */
  readonly addedTokens?: readonly AddedToken[];
}

/** A byte-pair tokenizer of CLIP (transformers' CLIPTokenizer). */
export interface ClipTokenizer {
  /** Ids of a prompt with start and end, cut to the length that the model takes, with the end token last. */
  encode(prompt: string): number[];
  /** The same, filled up to that length. */
  encodePadded(prompt: string): number[];
  decode(ids: readonly number[]): string;
  /** What does not fit into `maxLength` tokens of a prompt, as text; undefined where all of it fits. */
  cutFrom(prompt: string): string | undefined;
  readonly maxLength: number;
  readonly startId: number;
  readonly endId: number;
}

/** A tokenizer's files with everything that they may leave out, as transformers' CLIPTokenizer has it. */
export function withDefaults(files: ClipTokenizerFiles): Required<ClipTokenizerFiles> {
  const endToken = files.endToken ?? '<|endoftext|>';
  const defaults = {
    maxLength: 77,
    startToken: '<|startoftext|>',
    padToken: endToken,
    unknownToken: endToken,
    addedTokens: [],
  };
  return { ...defaults, ...files, endToken };
}
/** What ends a word in the vocabulary. */
const wordEnd = '</w>';

/** What byte-pair encoding sees as words: contractions, letters, single digits, and runs of anything else. */
const words = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/giu;

/** Repaired, white space collapsed. Broken Unicode is taken as it is. */
const collapsed = (prompt: string): string => repairText(prompt).replace(/\s+/gu, ' ').trim();

/** Repaired (see `repairText`), white space collapsed, lower case: the text that byte-pair encoding sees. */
export const cleanPrompt = (prompt: string): string => collapsed(prompt).toLowerCase();

/** The words of a text that has been cleaned. */
export const wordsOf = (text: string): string[] => [...text.matchAll(words)].map(([word]) => word);

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Cuts a text at tokens, of which longer ones count first; gives their ids, and the texts between them. */
function tokenSplitter(tokens: readonly AddedToken[]): (text: string) => (string | number)[] {
  if (tokens.length === 0) return (text) => [text];
  const alternatives = tokens
    .toSorted((a, b) => b.content.length - a.content.length)
    .map(({ content, singleWord }) =>
      singleWord ? `(?<![\\p{L}\\p{N}_])${escaped(content)}(?![\\p{L}\\p{N}_])` : escaped(content),
    );
  const pattern = new RegExp(`(${alternatives.join('|')})`, 'u');
  const ids = new Map(tokens.map(({ content, id }) => [content, id]));
  // What a pattern in brackets matches is at odd places.
  return (text) => text.split(pattern).map((part, i) => (i % 2 === 1 ? (ids.get(part) as number) : part));
}

/**
 * CLIP's byte-pair encoding (Radford et al. 2021; transformers' CLIPTokenizer). Start, end and pad token are found in
 * prompts too, as there, and so are added tokens. Throws where the vocabulary lacks one of them.
 */
export function clipTokenizer(files: ClipTokenizerFiles): ClipTokenizer {
  const { vocabulary, merges, maxLength, startToken, endToken, padToken, unknownToken, addedTokens } =
    withDefaults(files);
  const addedIds = new Map(addedTokens.map(({ content, id }) => [content, id]));
  const idOf = (token: string): number => {
    const id = addedIds.get(token) ?? (Object.hasOwn(vocabulary, token) ? vocabulary[token] : undefined);
    if (id === undefined) throw new TensorError(`clipTokenizer: the vocabulary has no token '${token}'`);
    return id;
  };
  const [startId, endId, padId, unknownId] = [startToken, endToken, padToken, unknownToken].map(idOf) as [
    number,
    number,
    number,
    number,
  ];
  const special = [...new Set([startToken, endToken, padToken])].map((content) => ({ content, id: idOf(content) }));
  const exact = tokenSplitter(addedTokens.filter(({ normalized }) => normalized === false));
  const folded = tokenSplitter(
    [...special, ...addedTokens.filter(({ normalized }) => normalized !== false)].map((token) => ({
      ...token,
      content: cleanPrompt(token.content),
    })),
  );
  const ranks = new Map(merges.map((pair, rank) => [pair, rank]));
  const addedNames = new Map(
    addedTokens.filter(({ content }) => !Object.hasOwn(vocabulary, content)).map(({ content, id }) => [id, content]),
  );
  const tokens = new Map(Object.entries(vocabulary).map(([token, id]) => [id, token]));
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
    // A symbol that the vocabulary lacks is "unknown".
    const ids = symbols.map((symbol) => vocabulary[symbol] ?? unknownId);
    known.set(word, ids);
    return ids;
  };

  const encodeText = (text: string): readonly number[] => wordsOf(text).flatMap(encodeWord);
  const idsOf = (prompt: string): number[] =>
    exact(collapsed(prompt)).flatMap((part) =>
      typeof part === 'number'
        ? [part]
        : folded(part.toLowerCase()).flatMap((one) => (typeof one === 'number' ? [one] : encodeText(one))),
    );
  const encode = (prompt: string): number[] => [startId, ...idsOf(prompt).slice(0, maxLength - 2), endId];
  const decode = (ids: readonly number[]): string => {
    let [text, symbols] = ['', ''];
    const flush = () => {
      text += symbolsToBytes(symbols).replaceAll(wordEnd, ' ');
      symbols = '';
    };
    for (const id of ids) {
      if (id === startId || id === endId) continue;
      const added = addedNames.get(id);
      if (added === undefined) symbols += tokens.get(id) ?? '';
      else {
        flush();
        text += `${added} `;
      }
    }
    flush();
    return text.trim();
  };
  return {
    encode,
    encodePadded: (prompt) => {
      const ids = encode(prompt);
      return [...ids, ...new Array<number>(maxLength - ids.length).fill(padId)];
    },
    decode,
    cutFrom: (prompt) => {
      const rest = idsOf(prompt).slice(maxLength - 2);
      return rest.length === 0 ? undefined : decode(rest);
    },
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
 * @throws FormatError with the line that is no pair; for an empty file, or one that is not of UTF-8
 */
export function parseMerges(bytes: Uint8Array, file: string): string[] {
  const lines = decodeLines(bytes, file).map((line) => line.trimEnd());
  if (lines.every((line) => line === '')) throw new FormatError(`${file}: the file is empty`);
  return lines.flatMap((line, i) => {
    if (line === '' || (i === 0 && line.includes('#version'))) return [];
    if (/^\S+ \S+$/u.test(line)) return [line];
    throw new FormatError(
      `${file}, line ${i + 1}: ${quote(line)} is not a pair of symbols with a space between them; is this a merges.txt?`,
    );
  });
}
