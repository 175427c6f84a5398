import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

async function makeInside(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder);
    return folder;
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    if (isThere && (await stat(folder)).isDirectory()) return undefined;
    throw error;
  }
}

/**
 * Makes a folder and its missing parents; returns the outermost one that it made, if any. Node's `recursive` never ends
 * in a folder that refuses new ones with ENOENT, as /proc does.
 */
export async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    return await makeInside(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const outermost = await makeFolder(dirname(folder));
    const inner = await makeInside(folder);
    return outermost ?? inner;
  }
}
