import { byteSymbols, bytesToSymbols } from './byteSymbols.ts';
import { type ClipTokenizerFiles, cleanPrompt, merged, wordsOf } from './clipTokenizer.ts';

/**
 * Learns byte-pair encoding from texts (Sennrich et al. 2016), for tokenizers in CLIP's format: the pair of symbols that
 * occurs most often is made a symbol, again and again; of equally frequent ones, the first in the alphabet.
 */
export function learnTokenizer(
  texts: readonly string[],
  { merges: count, maxLength }: { readonly merges: number; readonly maxLength: number },
): ClipTokenizerFiles {
  const frequencies = new Map<string, number>();
  for (const word of texts.flatMap((text) => wordsOf(cleanPrompt(text))))
    frequencies.set(word, (frequencies.get(word) ?? 0) + 1);
  let words = [...frequencies].map(([word, frequency]) => {
    const symbols = bytesToSymbols(word);
    symbols.push(`${symbols.pop() ?? ''}</w>`);
    return { symbols, frequency };
  });
  const merges: string[] = [];
  while (merges.length < count) {
    const pairs = new Map<string, number>();
    for (const { symbols, frequency } of words) {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const pair = `${symbols[i]} ${symbols[i + 1]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + frequency);
      }
    }
    const [best] = [...pairs].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    if (best === undefined) break;
    const [first, second] = best[0].split(' ') as [string, string];
    merges.push(best[0]);
    words = words.map(({ symbols, frequency }) => ({ symbols: merged(symbols, first, second), frequency }));
  }
  const tokens = [
    ...byteSymbols,
    ...byteSymbols.map((symbol) => `${symbol}</w>`),
    ...merges.map((pair) => pair.replace(' ', '')),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  return { vocabulary: Object.fromEntries(tokens.map((token, id) => [token, id])), merges, maxLength };
}
