import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attempt } from '../tensor/index.node.ts';

/** The version of this package, found beside or above the code, whether it was compiled or not. */
export async function packageVersion(): Promise<string> {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const path = join(folder, 'package.json');
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const found = text === undefined ? undefined : (JSON.parse(text) as { name?: string; version?: string });
    if (found?.name === 'diffusion-dpo' && found.version !== undefined) return found.version;
    if (folder === dirname(folder)) return attempt('find', 'package.json', Promise.reject(new Error('it is missing')));
  }
}

/** What a result was computed with. */
export const versions = async (): Promise<Readonly<Record<string, string>>> => ({
  'diffusion-dpo': await packageVersion(),
  node: process.versions.node,
  v8: process.versions.v8,
  platform: `${process.platform} ${process.arch}`,
});
