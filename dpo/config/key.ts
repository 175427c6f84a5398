import type { ConfigOf, Field } from '../../diffusion/index.ts';
import { readConfig } from '../../diffusion/index.ts';

/** A key of a configuration: how it is read, what it means, and whether it names something on disk. */
export interface Key<T> {
  readonly field: Field<T>;
  /** For people: a sentence or two. */
  readonly about: string;
  /** A path, or a list of them: in a configuration file it counts from the file's folder. */
  readonly isPath?: boolean;
}

export type Keys = Readonly<Record<string, Key<unknown>>>;

/** The values that keys give. */
export type SettingsOf<K extends Keys> = ConfigOf<{ readonly [Name in keyof K]: K[Name]['field'] }>;

export const key = <T>(field: Field<T>, about: string): Key<T> => ({ field, about });
export const pathKey = <T>(field: Field<T>, about: string): Key<T> => ({ field, about, isPath: true });

/**
 * Reads settings strictly.
 * @throws TensorError that lists every key that is not known, with the one that may be meant, and every value that is wrong.
 */
export function readSettings<const K extends Keys>(command: string, json: unknown, keys: K): SettingsOf<K> {
  const fields = Object.fromEntries(Object.entries(keys).map(([name, { field }]) => [name, field]));
  return readConfig(command, json, fields) as SettingsOf<K>;
}

/** A key's default as JSON; undefined for one that must be given. */
export function defaultOf({ field }: Key<unknown>): string | undefined {
  const result = field(undefined);
  return 'value' in result ? JSON.stringify(result.value) : undefined;
}
