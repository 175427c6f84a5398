/**
 * Byte-pair encoding works on bytes, written as printable characters: those that print by themselves stand for
 * themselves, and the others take the characters from U+0100 on, in their order.
 */
const printable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

const symbols: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();
const byteOf = new Map(symbols.map((symbol, byte) => [symbol, byte]));

/** All symbols, printable bytes first, as CLIP's vocabulary lists them. */
export const byteSymbols: readonly string[] = [
  ...symbols.filter((_, byte) => printable(byte)),
  ...symbols.filter((_, byte) => !printable(byte)),
];

/** The UTF-8 bytes of a text as symbols. */
export const bytesToSymbols = (text: string): string[] =>
  Array.from(new TextEncoder().encode(text), (byte) => symbols[byte] as string);

/** The text whose bytes the symbols are; what is not UTF-8 becomes U+FFFD. */
export const symbolsToBytes = (text: string): string =>
  new TextDecoder().decode(Uint8Array.from([...text].flatMap((symbol) => byteOf.get(symbol) ?? [])));
