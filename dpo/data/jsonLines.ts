import { FormatError, parseJson, refuseOtherText, withoutMark } from '../../tensor/index.ts';

/** The strings of one line under the requested names, or its error. */
export type JsonLine<Name extends string> = {
  /** File and line, for messages. */
  readonly place: string;
} & ({ readonly values: Readonly<Record<Name, string>> } | { readonly problem: FormatError });

/**
 * Parses a JSONL file of objects with strings under the given names; other names and empty lines are ignored. A bad line keeps
 * its error, so that the other lines stay usable.
 * @throws FormatError where the file is not UTF-8 text
 */
export function parseJsonLines<Name extends string>(
  content: Uint8Array,
  file: string,
  names: readonly Name[],
): readonly JsonLine<Name>[] {
  refuseOtherText(content, file);
  const bytes = withoutMark(content);
  const lines: JsonLine<Name>[] = [];
  let start = 0;
  for (let number = 1; start < bytes.length; number++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    const line = bytes.subarray(start, end);
    start = end + 1;
    if (line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)) continue;
    const place = `${file}, line ${number}`;
    lines.push({ place, ...stringsOf(line, place, names) });
  }
  return lines;
}

function stringsOf<Name extends string>(line: Uint8Array, place: string, names: readonly Name[]) {
  try {
    const object = parseJson(line, place);
    if (typeof object !== 'object' || object === null || Array.isArray(object))
      throw new FormatError(`${place} must hold an object {${names.join(', ')}}`);
    const entries = new Map<string, unknown>(Object.entries(object));
    const wrong = names.filter((name) => typeof entries.get(name) !== 'string');
    if (wrong.length > 0) {
      const found = [...entries.keys()].slice(0, 20).join(', ');
      throw new FormatError(`${place}: ${wrong.join(', ')} must be text; the names there are: ${found}`);
    }
    return { values: Object.fromEntries(names.map((name) => [name, entries.get(name)])) as Record<Name, string> };
  } catch (problem) {
    if (problem instanceof FormatError) return { problem };
    throw problem;
  }
}

/**
 * The strings of a line.
 * @throws FormatError where the line is bad
 */
export function valuesOf<Name extends string>(line: JsonLine<Name>): Readonly<Record<Name, string>> {
  if ('problem' in line) throw line.problem;
  return line.values;
}
