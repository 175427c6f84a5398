import { FormatError } from '../errors.ts';
import { whereJsonFails } from './jsonGrammar.ts';
import { quote } from './message.ts';
import { decodeText } from './text.ts';

/** The entries of a JSON object as a map, safe for names such as `__proto__`; `undefined` for any other value. */
export const objectEntries = (value: unknown): ReadonlyMap<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? new Map(Object.entries(value)) : undefined;

/** The deepest nesting allowed. Valid files need at most 4; far deeper ones are made to exhaust memory. */
const deepest = 128;

/**
 * Parses JSON more strictly than `JSON.parse`: also refuses bytes that are not UTF-8, a name that occurs twice in one
 * object (`JSON.parse` silently takes the last), halves of surrogate pairs and nesting deeper than 128. `what` names the
 * text in messages.
 * @throws FormatError; for text that is not JSON, with the line and column of the error
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

/** Longer texts are written by programs, and a line number helps nobody. */
const longestSearched = 2 ** 20;

function placeOfError(text: string): string {
  if (text.length > longestSearched) return '';
  const lines = text.slice(0, whereJsonFails(text)).split('\n');
  return ` (line ${lines.length}, column ${(lines.at(-1) as string).length + 1})`;
}

/** Refuses what `JSON.parse` accepts and should not; `JSON.parse` refuses all other errors. */
function scan(text: string, what: string): void {
  /** The names so far in each object around the current position; `undefined` for an array. */
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

/** True if a colon follows the string that ends before `end`: the string is the name of an entry. */
function isName(text: string, end: number): boolean {
  const colon = /[ \t\n\r]*:/y;
  colon.lastIndex = end;
  return colon.test(text);
}
