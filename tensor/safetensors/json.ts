import { FormatError } from '../errors.ts';
import { whereJsonFails } from './jsonGrammar.ts';
import { quote } from './message.ts';
import { decodeText } from './text.ts';

/** The entries of a JSON object, safe to look names such as `__proto__` up in; `undefined` for any other value. */
export const objectEntries = (value: unknown): ReadonlyMap<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? new Map(Object.entries(value)) : undefined;

/** Nothing here is nested deeper than 4; what goes far beyond is made to exhaust memory. */
const deepest = 128;

/**
 * Parses JSON more strictly than `JSON.parse`: bytes that are not UTF-8, a name that occurs twice in one object (there
 * the last would silently win), halves of surrogate pairs and deep nesting are refused too. `what` is what messages
 * call the text.
 * @throws FormatError; for text that is no JSON at all with the line and column where it goes wrong.
 */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  const text = decodeText(bytes, what);
  try {
    scan(text, what);
    return JSON.parse(text);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new FormatError(`${what} is not valid JSON: ${cause.message}${placeOfError(text)}`, { cause });
  }
}

/** Nobody writes longer files by hand, and what made them does not look for a line. */
const longestSearched = 2 ** 20;

function placeOfError(text: string): string {
  if (text.length > longestSearched) return '';
  const lines = text.slice(0, whereJsonFails(text)).split('\n');
  return ` (line ${lines.length}, column ${(lines.at(-1) as string).length + 1})`;
}

/** Finds what `JSON.parse` would accept and should not. Whether the text is JSON at all is left to it. */
function scan(text: string, what: string): void {
  /** The names met so far in each object around the current place; `undefined` stands for an array. */
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push(undefined);
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const start = i;
      i = closingQuote(text, start);
      const string = JSON.parse(text.slice(start, i + 1)) as string;
      if (/\p{Surrogate}/u.test(string)) {
        throw new FormatError(`${what} holds half a surrogate pair in the string ${quote(string)}`);
      }
      const names = open.at(-1);
      if (names === undefined || !isName(text, i + 1)) continue;
      if (names.has(string)) throw new FormatError(`${what} holds the name ${quote(string)} twice in one object`);
      names.add(string);
    }
    if (open.length > deepest) throw new FormatError(`${what} is nested more than ${deepest} levels deep`);
  }
}

function closingQuote(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}

/** Whether the string that ends before `end` is the name of an entry: a colon follows. */
function isName(text: string, end: number): boolean {
  const colon = /[ \t\n\r]*:/y;
  colon.lastIndex = end;
  return colon.test(text);
}
