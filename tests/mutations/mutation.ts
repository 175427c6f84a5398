/** One change of the source that must make a test fail. */
export interface Mutation {
  /** What is wrong after the change: "accumulated gradients are summed instead of averaged". */
  readonly name: string;
  /** The file that is changed, as a path from the root of the project. */
  readonly file: string;
  /** Text that occurs exactly once in the file, … */
  readonly find: string;
  /** … and what stands there after the change. */
  readonly replace: string;
  /** The test files of which at least one test must fail. */
  readonly tests: readonly string[];
  /** A pattern of test names, as `vitest -t` takes it, where a part of those files is enough. */
  readonly only?: string;
  /** Whether the mutation is in the short list, which runs with every change. */
  readonly short?: boolean;
}

/** The file's source after the change. Throws an `Error` unless the mutation's text occurs exactly once in it. */
export function mutate(source: string, { name, file, find, replace }: Mutation): string {
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`mutation "${name}": its text occurs ${parts.length - 1} times in ${file}, not once: ${find}`);
  return parts.join(replace);
}

/** Mutations of one file that the same tests must notice: a name, the text and its change each, and 'short' for the short list. */
export const changesOf = (
  file: string,
  tests: readonly string[],
  changes: readonly (readonly [name: string, find: string, replace: string, list?: 'short'])[],
): Mutation[] =>
  changes.map(([name, find, replace, list]) => ({ name, file, find, replace, tests, short: list === 'short' }));

/** Mutations of one file, as `changesOf` makes them, that one test file must notice, or those of its tests whose names match `only`. */
export const changes = (
  { file, tests, only }: Pick<Mutation, 'file' | 'only'> & { readonly tests: string },
  list: Parameters<typeof changesOf>[2],
): Mutation[] =>
  changesOf(file, [tests], list).map((mutation) => (only === undefined ? mutation : { ...mutation, only }));
