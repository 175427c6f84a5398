import { FormatError, parseJson } from '../../tensor/index.ts';

/** A JSON object, such as a configuration. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The object that a JSON file holds.
 * @throws FormatError with the file, and the line and column where the text is not JSON; or where it holds no object.
 */
export function parseObject(bytes: Uint8Array, file: string): JsonObject {
  const value = parseJson(bytes, file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  const kind = Array.isArray(value) ? 'a list' : JSON.stringify(value).slice(0, 80);
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
