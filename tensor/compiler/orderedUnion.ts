import type { Value } from './program.ts';

const nothing: readonly Value[] = [];

/**
 * Returns a function that joins the lists `partsOf` has for some inputs: each value once, in the order of first occurrence.
 * Most unions equal the list of one input, which is then returned itself and not copied.
 */
export function orderedUnion({ length }: readonly Value[], partsOf: (value: Value) => readonly Value[]) {
  /** By the number of a value: the last join that contains it. */
  const latest = new Int32Array(length);
  let current = 0;
  /** Reused by all joins, since most are short; a list that is grown takes more memory than a slice of the right size. */
  const joined: Value[] = [];
  const join = (list: readonly Value[], more: readonly Value[]): readonly Value[] => {
    current++;
    let count = 0;
    for (const value of list) {
      latest[value.id] = current;
      joined[count++] = value;
    }
    for (const value of more) if (latest[value.id] !== current) joined[count++] = value;
    return count === list.length ? list : joined.slice(0, count);
  };
  return (inputs: readonly Value[]): readonly Value[] => {
    let list = nothing;
    for (const input of inputs) {
      const more = partsOf(input);
      if (list.length === 0) list = more;
      else if (more !== list && more.length > 0) list = join(list, more);
    }
    return list;
  };
}
