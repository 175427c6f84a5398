import { Interner } from './interner.ts';
import { addType, type Program, type Value } from './program.ts';

/**
 * Identifies what a group of values computes from memory, whichever values it reads. Groups with equal numbers get the same
 * kernel, applied to other values: a deep network repeats few groups many times.
 */
export interface StructuralId {
  readonly number: number;
  /** All values of the expressions, loaded and computed, in the order in which the description first mentions them. */
  readonly values: readonly Value[];
}

/** The id of an empty group. */
export const emptyStructuralId: StructuralId = { number: -1, values: [] };

/** A description refers to a value that it mentions again by its place (from 0), and announces a new value by one of these. */
const loaded = -1;
const computed = -2;

/** Returns a function that extends the id of a group by one more value. `hasBuffer` tells which values are loaded. */
export function structuralIds({ values }: Program, hasBuffer: (value: Value) => boolean) {
  const descriptions = new Interner();
  const types = new Interner();
  /** By the number of a value: the last description that mentions it, and its place there. */
  const latest = new Int32Array(values.length);
  const places = new Int32Array(values.length);
  let current = 0;
  let added: Value[] = [];

  const mention = ({ id }: Value, place: number): void => {
    latest[id] = current;
    places[id] = place;
  };
  const addTypeOf = ({ dtype, shape }: Value): void => {
    addType(types, dtype, shape);
    descriptions.add(types.close());
  };
  const visit = (one: Value, isLoaded: boolean, first: number): void => {
    if (latest[one.id] === current) {
      descriptions.add(places[one.id] as number);
      return;
    }
    mention(one, first + added.length);
    added.push(one);
    descriptions.add(isLoaded ? loaded : computed);
    if (isLoaded) {
      addTypeOf(one);
      return;
    }
    descriptions.add(one.form);
    descriptions.add(one.inputs.length);
    for (const input of one.inputs) visit(input, hasBuffer(input), first);
  };

  return ({ number, values }: StructuralId, value: Value): StructuralId => {
    current++;
    added = [];
    values.forEach(mention);
    descriptions.add(number);
    visit(value, false, values.length);
    return { number: descriptions.close(), values: values.length === 0 ? added : [...values, ...added] };
  };
}
