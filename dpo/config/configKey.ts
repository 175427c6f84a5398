import type { ConfigOf, Field } from '../../diffusion/index.ts';
import { readConfig } from '../../diffusion/index.ts';

/** A key of a command's configuration: the field that parses its value, the help text, and how it relates to other keys. */
export interface Key<T> {
  /** Parses and checks a JSON value. */
  readonly field: Field<T>;
  /** Help text: a sentence or two. */
  readonly about: string;
  /** True for a path or a list of paths: a configuration file gives them relative to its own folder. */
  readonly isPath?: boolean;
  /** Other keys and the values of them under which this key has an effect. */
  readonly onlyWith?: Readonly<Record<string, readonly unknown[]>>;
  /** Another name that files and flags may use: an earlier one, or one that other programs use. */
  readonly otherName?: string;
}

/** A command's keys by name. */
export type Keys = Readonly<Record<string, Key<unknown>>>;

/** The settings that a command reads by its keys: one parsed value a key. */
export type SettingsOf<K extends Keys> = ConfigOf<{ readonly [Name in keyof K]: K[Name]['field'] }>;

/** A key that is not a path. */
export const configKey = <T>(field: Field<T>, about: string, onlyWith: Key<T>['onlyWith'] = {}): Key<T> => ({
  field,
  about,
  onlyWith,
});

/** A key that takes a path, or a list of paths. */
export const pathKey = <T>(field: Field<T>, about: string, otherName?: string): Key<T> => ({
  ...{ field, about, isPath: true },
  ...(otherName !== undefined && { otherName }),
});

/** Renames settings from keys' other names. A setting given under both names keeps both, so that `readSettings` refuses it. */
export function withKeyNames(settings: Readonly<Record<string, unknown>>, keys: Keys): Record<string, unknown> {
  const nameOf = new Map(Object.entries(keys).map(([name, { otherName }]) => [otherName, name]));
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      const renamed = nameOf.get(name);
      return [renamed === undefined || Object.hasOwn(settings, renamed) ? name : renamed, value];
    }),
  );
}

/**
 * Parses the settings of `command`, a name for messages, and fills in defaults. Other names of keys are accepted.
 * @throws TensorError that lists every unknown key, with the nearest known one, and every invalid value
 */
export function readSettings<const K extends Keys>(command: string, json: unknown, keys: K): SettingsOf<K> {
  const fields = Object.fromEntries(Object.entries(keys).map(([name, { field }]) => [name, field]));
  return readConfig(command, isRecord(json) ? withKeyNames(json, keys) : json, fields) as SettingsOf<K>;
}

const isRecord = (json: unknown): json is Readonly<Record<string, unknown>> =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

const listed = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(' or ');

/** One message for each given key that has no effect under the values of other keys. */
export function keysWithoutEffect(
  given: Readonly<Record<string, unknown>>,
  settings: Readonly<Record<string, unknown>>,
  keys: Keys,
): string[] {
  return Object.keys(given).flatMap((name) =>
    Object.entries(keys[name]?.onlyWith ?? {})
      .filter(([other, values]) => !values.includes(settings[other]))
      .map(
        ([other, values]) =>
          `${name} has no effect: ${other} is ${JSON.stringify(settings[other])}, not ${listed(values)}`,
      ),
  );
}

/** A key's help text, with the conditions under which it has an effect. */
export const describeKey = ({ about, onlyWith = {} }: Key<unknown>): string =>
  [about, ...Object.entries(onlyWith).map(([other, values]) => `Only with ${other} ${listed(values)}.`)].join(' ');

/** The values that a key accepts, in the words of its error message. */
export function expectedOf({ field }: Key<unknown>): string {
  const result = field(Symbol('nothing that a key takes'));
  return 'problem' in result ? result.problem.replace(/^must be /, '') : 'anything';
}

/** A key's default as JSON; undefined for a required key. */
export function defaultOf({ field }: Key<unknown>): string | undefined {
  const result = field(undefined);
  return 'value' in result ? JSON.stringify(result.value) : undefined;
}
