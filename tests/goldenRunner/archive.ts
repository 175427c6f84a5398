import { access } from 'node:fs/promises';
import { openSafetensorsFile } from '../../tensor/index.node.ts';
import type { Tensor } from '../../tensor/index.ts';
import type { LeftOut } from './families/family.ts';

/** All tensors of a safetensors file, in the order of their names. */
export async function readArchive(path: string): Promise<Map<string, Tensor>> {
  await using archive = await openSafetensorsFile(path);
  const tensors = new Map<string, Tensor>();
  for (const name of archive.names) tensors.set(name, await archive.read(name));
  return tensors;
}

/** The tensors of a file that a data set need not have. */
export const readOptionalArchive = async (path: string): Promise<Map<string, Tensor> | undefined> =>
  access(path).then(
    () => readArchive(path),
    () => undefined,
  );

/** Those of a folder's optional files that are not there, for the report. */
export const absentFiles = (folder: string, files: Readonly<Record<string, unknown>>): LeftOut[] =>
  Object.entries(files).flatMap(([name, content]) =>
    content === undefined ? [{ file: folder, name, reason: 'the file is not there', tensors: 0 }] : [],
  );

/** Tensors whose names begin with a prefix, without it. */
export const withPrefix = (tensors: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> =>
  new Map([...tensors].flatMap(([name, x]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), x]] : [])));

/** The tensors of a case, without its name: those of `a.b.x` belong to a case `a.b`, if there is one, and not to `a`. */
export function ofCase(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  cases: Iterable<string>,
): Map<string, Tensor> {
  const longer = [...cases].filter((other) => other.startsWith(`${name}.`));
  const own = [...tensors].filter(([key]) => !longer.some((other) => key.startsWith(`${other}.`)));
  return withPrefix(new Map(own), `${name}.`);
}

/** Tensors whose names differ from those in another list, in words. */
export const missingFrom = (names: Iterable<string>, have: { has(name: string): boolean }, what: string): string[] =>
  [...names].filter((name) => !have.has(name)).map((name) => `${what} '${name}'`);
