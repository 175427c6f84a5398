import { FormatError } from '../errors.ts';
import { refuseSubstitute } from './foreign.ts';

const lineFeed = 0x0a;
const utf8Mark = [0xef, 0xbb, 0xbf] as const;

const startsWith = (bytes: Uint8Array, ...expected: readonly number[]): boolean =>
  expected.every((byte, i) => bytes[i] === byte);

/** The bytes without a leading UTF-8 byte order mark. */
export const withoutMark = (bytes: Uint8Array): Uint8Array =>
  startsWith(bytes, ...utf8Mark) ? bytes.subarray(utf8Mark.length) : bytes;

/**
 * Refuses a file that is not UTF-8 text: a substitute that a failed download left (see `refuseSubstitute`), and UTF-16 or
 * UTF-32, recognised by a byte order mark or zeros in the first bytes.
 * @throws FormatError that says what the file is
 */
export function refuseOtherText(bytes: Uint8Array, what: string): void {
  refuseSubstitute(bytes, what);
  const encoding = wideEncoding(bytes);
  if (encoding !== undefined) throw new FormatError(`${what} is not UTF-8 but ${encoding}; save it as UTF-8`);
}

function wideEncoding(bytes: Uint8Array): string | undefined {
  if (startsWith(bytes, 0xff, 0xfe, 0, 0) || startsWith(bytes, 0, 0, 0xfe, 0xff)) return 'UTF-32';
  if (startsWith(bytes, 0xff, 0xfe) || startsWith(bytes, 0xfe, 0xff)) return 'UTF-16';
  // Without a mark, letters of western languages have a zero before or after them.
  const [first, second] = bytes;
  if (bytes.length < 4 || bytes.length % 2 !== 0 || (first === 0) === (second === 0)) return undefined;
  const start = bytes.subarray(0, 64);
  const zero = first === 0 ? 0 : 1;
  return start.every((byte, i) => (byte === 0) === (i % 2 === zero)) ? 'what looks like UTF-16' : undefined;
}

/**
 * Decodes a UTF-8 file, with or without a byte order mark. `what` names it in messages.
 * @throws FormatError as `decodeUtf8` and `refuseOtherText` do
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  refuseOtherText(bytes, what);
  return decodeUtf8(bytes, what);
}

/**
 * Decodes UTF-8 bytes, which may be a part of a file, with or without a byte order mark.
 * @throws FormatError for invalid UTF-8 and for the character U+0000, with the line, the byte and the likely encoding
 */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  const zero = bytes.indexOf(0);
  if (zero >= 0) throw new FormatError(`${what}: ${placeOf(bytes, zero)} is zero, which no text holds`);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(withoutMark(bytes));
  } catch (cause) {
    const at = firstInvalid(bytes);
    throw new FormatError(`${what} is not valid UTF-8: ${placeOf(bytes, at)} ${problemAt(bytes, at)}`, { cause });
  }
}

/**
 * The lines of a UTF-8 text, without their ends (LF or CRLF). A last line may lack its end.
 * @throws FormatError as `decodeText` does, and for a CR without LF
 */
export function decodeLines(bytes: Uint8Array, what: string): string[] {
  const lines = decodeText(bytes, what).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, i) => {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (text.includes('\r'))
      throw new FormatError(`${what}, line ${i + 1}: holds a carriage return (CR); lines end with LF or CRLF`);
    return text;
  });
}

/** `line 3, byte 45`, or without the line if there is only one; bytes count from 0, in the whole text. */
function placeOf(bytes: Uint8Array, at: number): string {
  let line = 1;
  for (let i = bytes.indexOf(lineFeed); i >= 0 && i < at; i = bytes.indexOf(lineFeed, i + 1)) line++;
  return `${bytes.includes(lineFeed) ? `line ${line}, ` : ''}byte ${at}`;
}

/** The bytes of a character that begins with this byte; 0 if no character does. */
function lengthOf(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/** The position of the first invalid character (RFC 3629). */
function firstInvalid(bytes: Uint8Array): number {
  const isValid = new TextDecoder('utf-8', { fatal: true });
  for (let at = 0; at < bytes.length; ) {
    const length = lengthOf(bytes[at] as number);
    if (length === 0) return at;
    if (length > 1) {
      try {
        isValid.decode(bytes.subarray(at, at + length));
      } catch {
        return at;
      }
    }
    at += length;
  }
  return bytes.length;
}

function problemAt(bytes: Uint8Array, at: number): string {
  const rest = bytes.subarray(at);
  const length = lengthOf(rest[0] as number);
  if (rest.length < length && rest.subarray(1).every((byte) => byte >= 0x80 && byte < 0xc0))
    return 'begins a character that the text ends within; is it cut short?';
  return `is 0x${(rest[0] as number).toString(16).padStart(2, '0')}${likelyEncoding(bytes)}; save it as UTF-8`;
}

/** A guess at the encoding of bytes that are not UTF-8: in western texts, letters beyond ASCII are few. */
function likelyEncoding(bytes: Uint8Array): string {
  let [beyond, controls, windows] = [0, 0, 0];
  for (const byte of bytes) {
    if (byte >= 0x80) beyond++;
    if (byte >= 0x80 && byte < 0xa0) windows++;
    if (byte < 0x09 || (byte > 0x0d && byte < 0x20) || byte === 0x7f) controls++;
  }
  if (controls > 0) return ', and there are control characters: this does not look like text';
  if (beyond * 3 > bytes.length) return '';
  return `, which looks like ${windows > 0 ? 'Windows-1252' : 'Latin-1'}`;
}
