import type { Value } from './program.ts';

const nothing: readonly Value[] = [];

/**
 * Makes lists of values of a program, each value once, in the order in which they are first seen: of what `partsOf` says
 * of each of some inputs. Most are what one of the inputs has already, and are that list.
 */
export function unions({ length }: readonly Value[], partsOf: (value: Value) => readonly Value[]) {
  /** The list that each value was last looked for in, by the value's number. */
  const latest = new Int32Array(length);
  let current = 0;
  /** Where a list is made: most are short, and what grows by itself takes more room than that. */
  const made: Value[] = [];
  const joined = (list: readonly Value[], more: readonly Value[]): readonly Value[] => {
    current++;
    let count = 0;
    for (const value of list) {
      latest[value.id] = current;
      made[count++] = value;
    }
    for (const value of more) if (latest[value.id] !== current) made[count++] = value;
    return count === list.length ? list : made.slice(0, count);
  };
  return (inputs: readonly Value[]): readonly Value[] => {
    let list = nothing;
    for (const input of inputs) {
      const more = partsOf(input);
      if (list.length === 0) list = more;
      else if (more !== list && more.length > 0) list = joined(list, more);
    }
    return list;
  };
}
