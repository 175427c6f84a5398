import { addType, type Value } from './program.ts';
import { Rows } from './rows.ts';

/**
 * What a list of values computes from memory, but for the names of what it reads: equal numbers for lists that one
 * kernel serves under other names. A deep network repeats few of them many times.
 */
export interface Likeness {
  number: number;
  /** Everything that the values are made of, in the order of the description, and its place there. */
  readonly names: Map<Value, number>;
}

/** What a value adds to a likeness. */
export interface Extension {
  readonly number: number;
  readonly added: ReadonlyMap<Value, number>;
}

/** The likeness of no values. */
export const noLikeness = (): Likeness => ({ number: -1, names: new Map() });

/** What values are called in rows: numbers of what is known, or else one of these. */
const loaded = -1;
const computed = -2;

/** Describes values of a program, of which some have buffers. */
export function likenesses(hasBuffer: (value: Value) => boolean) {
  const rows = new Rows();
  const types = new Rows();

  const addTypeOf = ({ dtype, shape }: Value): void => {
    addType(types, dtype, shape);
    rows.add(types.close());
  };

  /** What the likeness is with one value more, and the names that this adds. */
  return ({ number, names }: Likeness, value: Value): Extension => {
    const added = new Map<Value, number>();
    const visit = (one: Value, isLoaded: boolean): void => {
      const known = names.get(one) ?? added.get(one);
      if (known !== undefined) {
        rows.add(known);
        return;
      }
      added.set(one, names.size + added.size);
      rows.add(isLoaded ? loaded : computed);
      if (isLoaded) {
        addTypeOf(one);
        return;
      }
      rows.add(one.form);
      rows.add(one.inputs.length);
      for (const input of one.inputs) visit(input, hasBuffer(input));
    };
    rows.add(number);
    visit(value, false);
    return { number: rows.close(), added };
  };
}
