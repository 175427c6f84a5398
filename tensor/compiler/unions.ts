import type { Value } from './program.ts';

/** Makes lists of values of a program, each value once, in the order in which they are first added. */
export function unions({ length }: readonly Value[]) {
  /** The list that each value was last added to, by the value's number. */
  const latest = new Int32Array(length);
  let current = 0;
  /** Where a list is made; most have one or two values, and what grows by itself takes more room than that. */
  const made: Value[] = [];
  let count = 0;
  const add = (value: Value): void => {
    if (latest[value.id] === current) return;
    latest[value.id] = current;
    made[count++] = value;
  };
  return (collect: (add: (value: Value) => void) => void): readonly Value[] => {
    current++;
    count = 0;
    collect(add);
    return made.slice(0, count);
  };
}
