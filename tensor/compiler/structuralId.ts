import { Rows } from './interner.ts';
import { addType, type Program, type Value } from './program.ts';

/**
 * What a list of values computes from memory, but for the names of what it reads: equal numbers for lists that one
 * kernel serves under other names. A deep network repeats few of them many times.
 */
export interface Likeness {
  readonly number: number;
  /** Everything that the values are made of, in the order of the description. */
  readonly names: readonly Value[];
}

/** The likeness of no values. */
export const noLikeness: Likeness = { number: -1, names: [] };

/** What values are called in rows: numbers of what is known, or else one of these. */
const loaded = -1;
const computed = -2;

/** Describes values of a program, of which some have buffers. */
export function likenesses({ values }: Program, hasBuffer: (value: Value) => boolean) {
  const rows = new Rows();
  const types = new Rows();
  /** By the number of a value: the last description that it is in, and its place there. */
  const latest = new Int32Array(values.length);
  const places = new Int32Array(values.length);
  let current = 0;
  let added: Value[] = [];

  const name = ({ id }: Value, place: number): void => {
    latest[id] = current;
    places[id] = place;
  };
  const addTypeOf = ({ dtype, shape }: Value): void => {
    addType(types, dtype, shape);
    rows.add(types.close());
  };
  const visit = (one: Value, isLoaded: boolean, first: number): void => {
    if (latest[one.id] === current) {
      rows.add(places[one.id] as number);
      return;
    }
    name(one, first + added.length);
    added.push(one);
    rows.add(isLoaded ? loaded : computed);
    if (isLoaded) {
      addTypeOf(one);
      return;
    }
    rows.add(one.form);
    rows.add(one.inputs.length);
    for (const input of one.inputs) visit(input, hasBuffer(input), first);
  };

  /** What the likeness is with one value more. */
  return ({ number, names }: Likeness, value: Value): Likeness => {
    current++;
    added = [];
    names.forEach(name);
    rows.add(number);
    visit(value, false, names.length);
    return { number: rows.close(), names: names.length === 0 ? added : [...names, ...added] };
  };
}
