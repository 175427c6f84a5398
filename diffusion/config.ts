import { suggestion, TensorError } from '../tensor/index.ts';

/** How one field of a configuration is read: gives its value, or says what is wrong with it. */
export type Field<T> = (value: unknown) => { readonly value: T } | { readonly problem: string };

/** A value as messages show it, not longer than a line or two. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 120 ? text : `${text.slice(0, 120)}…`;
}

/** A field with a default, for where it is missing; `null` is a value like others. */
const field =
  <T>(expected: string, fallback: T, accepts: (value: unknown) => value is T): Field<T> =>
  (value) =>
    value === undefined ? { value: fallback } : accepts(value) ? { value } : { problem: `must be ${expected}` };

const isInteger = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean';
const isText = (value: unknown): value is string => typeof value === 'string';
const isListOf =
  <T>(accepts: (value: unknown) => value is T) =>
  (value: unknown): value is readonly T[] =>
    Array.isArray(value) && value.every(accepts);
const orNull =
  <T>(accepts: (value: unknown) => value is T) =>
  (value: unknown): value is T | null =>
    value === null || accepts(value);

/** A field that is a whole number. */
export const integer = (fallback: number): Field<number> => field('a whole number', fallback, isInteger);
/** A whole number that may be so large: what is counted takes memory and time, and files may say anything. */
export const integerUpTo = (most: number, fallback: number): Field<number> =>
  field(`a whole number of at most ${most}`, fallback, (value): value is number => isInteger(value) && value <= most);
/** A field that is a whole number or null. */
export const integerOrNull = (fallback: number | null): Field<number | null> =>
  field('a whole number or null', fallback, orNull(isInteger));
/** A field that is a finite number. */
export const number = (fallback: number): Field<number> => field('a number', fallback, isNumber);
/** A number within bounds, both included. */
export const numberFrom = (low: number, high: number, fallback: number): Field<number> =>
  field(
    high === Number.POSITIVE_INFINITY ? `a number of at least ${low}` : `a number from ${low} to ${high}`,
    fallback,
    (value): value is number => isNumber(value) && value >= low && value <= high,
  );
/** A field that is a finite number or null. */
export const numberOrNull = (fallback: number | null): Field<number | null> =>
  field('a number or null', fallback, orNull(isNumber));
/** A field that is true or false. */
export const boolean = (fallback: boolean): Field<boolean> => field('true or false', fallback, isBoolean);
/** A field that is a string. */
export const text = (fallback: string): Field<string> => field('a text', fallback, isText);
/** A field that is a list of whole numbers. */
export const integers = (fallback: readonly number[]): Field<readonly number[]> =>
  field('a list of whole numbers', fallback, isListOf(isInteger));
/** A field that is a list of finite numbers or null. */
export const numbersOrNull = (fallback: readonly number[] | null): Field<readonly number[] | null> =>
  field('a list of numbers or null', fallback, orNull(isListOf(isNumber)));
export const integersUpTo = (most: number, fallback: readonly number[]): Field<readonly number[]> =>
  field(
    `a list of whole numbers of at most ${most}`,
    fallback,
    isListOf((value): value is number => isInteger(value) && value <= most),
  );
/** A field that is a list of strings. */
export const texts = (fallback: readonly string[]): Field<readonly string[]> =>
  field('a list of texts', fallback, isListOf(isText));

/** A field that must have one of these values; the first is the default. */
export const oneOf =
  <const T extends readonly (string | number | boolean | null)[]>(...values: T): Field<T[number]> =>
  (value) =>
    value === undefined
      ? { value: values[0] as T[number] }
      : values.includes(value as T[number])
        ? { value: value as T[number] }
        : {
            problem:
              values.length === 1
                ? `only ${show(values[0])} is supported`
                : `must be one of ${values.map(show).join(', ')}`,
          };

/** A field that is known and has no effect here, whatever its value is. */
export const ignored: Field<undefined> = () => ({ value: undefined });

/** A field that has an effect elsewhere, where it is read from the file. */
export const readElsewhere: Field<undefined> = () => ({ value: undefined });

/** Fields with these names that have no effect here. */
export const ignoredFields = (names: Iterable<string>): Readonly<Record<string, Field<undefined>>> =>
  Object.fromEntries([...names].map((name) => [name, ignored]));

/** A field that is either of two kinds. */
export const either =
  <A, B>(first: Field<A>, second: Field<B>): Field<A | B> =>
  (value) => {
    const one = first(value);
    if ('value' in one) return one;
    const other = second(value);
    return 'value' in other ? other : { problem: `${one.problem}, or ${other.problem.replace(/^must be /, '')}` };
  };

/** The values that fields give. */
export type ConfigOf<F> = { readonly [Name in keyof F]: F[Name] extends Field<infer T> ? T : never };

/** The fields of a configuration that say something which has no effect here, in the order of the file. */
export function passedOver(json: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, Field<unknown>>>) {
  return Object.keys(json).filter((name) => Object.hasOwn(fields, name) && fields[name] === ignored);
}

/**
 * Reads the JSON object of a configuration. Throws one error that lists every field that is unknown (with the one that may
 * be meant), is of the wrong kind or asks for what is not supported. Names that begin with `_` are notes of whoever wrote
 * the file.
 */
export function readConfig<const F extends Readonly<Record<string, Field<unknown>>>>(
  className: string,
  json: unknown,
  fields: F,
): ConfigOf<F> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new TensorError(`${className}: a configuration is a JSON object, got ${show(json)}`);
  const given = json as Readonly<Record<string, unknown>>;
  const problems: string[] = [];
  const named = given._class_name;
  if (named !== undefined && named !== className) problems.push(`_class_name: is ${show(named)}, not "${className}"`);
  const names = Object.keys(fields);
  for (const name of Object.keys(given)) {
    if (name.startsWith('_') || Object.hasOwn(fields, name)) continue;
    const near = suggestion(
      name,
      names.filter((known) => !Object.hasOwn(given, known)),
    );
    problems.push(`${name}: is not known here (its value is ${show(given[name])})${near}`);
  }
  const config = Object.fromEntries(
    Object.entries(fields).map(([name, read]) => {
      const result = read(Object.hasOwn(given, name) ? given[name] : undefined);
      if ('value' in result) return [name, result.value];
      problems.push(`${name}: ${result.problem}${given[name] === undefined ? '' : `, got ${show(given[name])}`}`);
      return [name, undefined];
    }),
  );
  if (problems.length > 0)
    throw new TensorError(
      `${className}: this configuration cannot be used:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
  return config as ConfigOf<F>;
}
