import { FormatError } from '../../tensor/index.ts';

/** A JSON object, such as a configuration. */
export type JsonObject = Readonly<Record<string, unknown>>;

const space = /[ \t\n\r]*/y;
const token = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/** Where a text stops being JSON: the place of the first character that cannot be there. */
function breaksAt(text: string): number {
  let at = 0;
  const skip = (expression: RegExp): boolean => {
    expression.lastIndex = at;
    const found = expression.exec(text)?.[0];
    at += found?.length ?? 0;
    return found !== undefined;
  };
  const next = (character: string): boolean => {
    skip(space);
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  const string = (): boolean => {
    skip(space);
    return text[at] === '"' && skip(token);
  };
  const list = (end: string, one: () => boolean): boolean => {
    if (next(end)) return true;
    do {
      if (!one()) return false;
    } while (next(','));
    return next(end);
  };
  const value = (): boolean => {
    if (next('{')) return list('}', () => string() && next(':') && value());
    if (next('[')) return list(']', value);
    return skip(token);
  };
  if (value()) skip(space);
  return at;
}

/**
 * The object that a JSON file holds.
 * @throws FormatError with the file, line and column where the text is not JSON, or is JSON but no object.
 */
export function parseObject(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const before = text.slice(0, breaksAt(text));
    const [line, column] = [before.split('\n').length, before.length - before.lastIndexOf('\n')];
    const there = before.length === text.length ? 'it ends too early' : `unexpected ${JSON.stringify(text[before.length])}`;
    throw new FormatError(`${file}:${line}:${column}: not valid JSON: ${there}`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  const kind = Array.isArray(value) ? 'a list' : JSON.stringify(value);
  throw new FormatError(`${file}: must hold a JSON object, but holds ${kind}`);
}

/** JSON as diffusers and transformers write it: names in order, indented by two, a line break at the end. */
export function formatObject(value: JsonObject): string {
  const sorted = (_: string, one: unknown): unknown =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one;
  return `${JSON.stringify(value, sorted, 2)}\n`;
}
