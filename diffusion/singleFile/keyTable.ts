/**
 * How a tensor of a single file holds a parameter: as it is; as a 1×1 convolution [out, in, 1, 1] of a linear layer [out, in];
 * transposed; or as one of three equal runs of rows, in the order query, key, value.
 */
export type Form = 'same' | 'conv' | 'transposed' | 'query' | 'key' | 'value';

/** Where a single file holds a parameter: the name of the tensor there, and how it is held. */
export interface Place {
  readonly key: string;
  readonly form: Form;
}

/**
 * A row of a table of names: what a module or parameter is called in diffusers' or transformers' layout, where # is a number; what it
 * is called in the original layout, which may depend on these numbers; and the rows of what is inside, or the form of a
 * parameter. Without either, everything inside has the same name in both.
 */
export type KeyRow = readonly [
  ours: string,
  original: string | ((first: number, second: number) => string),
  detail?: readonly KeyRow[] | Form,
];

/** The place of a parameter by its name, without the prefix of its part; undefined where the original layout has none. */
export type KeyTable = (parameter: string) => Place | undefined;

const joined = (...names: readonly string[]): string => names.filter((name) => name !== '').join('.');

/** Makes a table of its rows, of which the first that fits counts. */
export function keyTable(rows: readonly KeyRow[]): KeyTable {
  const compiled = rows.map(([ours, original, detail]) => ({
    pattern: new RegExp(`^${ours.replaceAll('.', '\\.').replaceAll('#', '(\\d+)')}(?:\\.(.+))?$`),
    original,
    form: typeof detail === 'string' ? detail : 'same',
    inside: typeof detail === 'object' ? keyTable(detail) : undefined,
  }));
  return (parameter) => {
    for (const { pattern, original, form, inside } of compiled) {
      const match = pattern.exec(parameter);
      if (match === null) continue;
      const [rest = '', [first = 0, second = 0]] = [match.at(-1), match.slice(1, -1).map(Number)];
      const place = inside === undefined ? { key: rest, form } : inside(rest);
      if (place === undefined) return undefined;
      const name = typeof original === 'string' ? original : original(first, second);
      return { key: joined(name, place.key), form: place.form };
    }
    return undefined;
  };
}

/** A table whose names in the original layout begin with a prefix, such as `first_stage_model.`. */
export const prefixed =
  (prefix: string, table: KeyTable): KeyTable =>
  (parameter) => {
    const place = table(parameter);
    return place && { ...place, key: prefix + place.key };
  };
