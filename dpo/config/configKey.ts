import type { ConfigOf, Field } from '../../diffusion/index.ts';
import { readConfig } from '../../diffusion/index.ts';

/** A key of a configuration: how it is read, what it means, and whether it names something on disk. */
export interface Key<T> {
  readonly field: Field<T>;
  /** For people: a sentence or two. */
  readonly about: string;
  /** A path, or a list of them: in a configuration file it counts from the file's folder. */
  readonly isPath?: boolean;
  /** Other keys, and values of theirs without which this one means nothing. */
  readonly onlyWith?: Readonly<Record<string, readonly unknown[]>>;
  /** An earlier name, which files and flags may still use. */
  readonly formerName?: string;
}

export type Keys = Readonly<Record<string, Key<unknown>>>;

/** The values that keys give. */
export type SettingsOf<K extends Keys> = ConfigOf<{ readonly [Name in keyof K]: K[Name]['field'] }>;

export const configKey = <T>(field: Field<T>, about: string, onlyWith: Key<T>['onlyWith'] = {}): Key<T> => ({
  field,
  about,
  onlyWith,
});
export const pathKey = <T>(field: Field<T>, about: string, formerName?: string): Key<T> => ({
  ...{ field, about, isPath: true },
  ...(formerName !== undefined && { formerName }),
});

/** Settings under the present names of their keys. A setting that is given under both names keeps both, and is refused later. */
export function withPresentNames(settings: Readonly<Record<string, unknown>>, keys: Keys): Record<string, unknown> {
  const present = new Map(Object.entries(keys).map(([name, { formerName }]) => [formerName, name]));
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      const renamed = present.get(name);
      return [renamed === undefined || Object.hasOwn(settings, renamed) ? name : renamed, value];
    }),
  );
}

/**
 * Reads settings strictly.
 * @throws TensorError that lists every key that is not known, with the one that may be meant, and every value that is wrong.
 */
export function readSettings<const K extends Keys>(command: string, json: unknown, keys: K): SettingsOf<K> {
  const fields = Object.fromEntries(Object.entries(keys).map(([name, { field }]) => [name, field]));
  return readConfig(command, isRecord(json) ? withPresentNames(json, keys) : json, fields) as SettingsOf<K>;
}

const isRecord = (json: unknown): json is Readonly<Record<string, unknown>> =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

const listed = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(' or ');

/** Keys that were given and mean nothing beside what others say, in words. */
export function idleKeys(
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

/** What a key means, and beside what. */
export const describeKey = ({ about, onlyWith = {} }: Key<unknown>): string =>
  [about, ...Object.entries(onlyWith).map(([other, values]) => `Only with ${other} ${listed(values)}.`)].join(' ');

/** What a key's value may be, as messages about wrong ones say it. */
export function expectedOf({ field }: Key<unknown>): string {
  const result = field(Symbol('nothing that a key takes'));
  return 'problem' in result ? result.problem.replace(/^must be /, '') : 'anything';
}

/** A key's default as JSON; undefined for one that must be given. */
export function defaultOf({ field }: Key<unknown>): string | undefined {
  const result = field(undefined);
  return 'value' in result ? JSON.stringify(result.value) : undefined;
}
