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
 * Makes a folder, and those that it is in, where they are not there; gives the outermost that was made. Node's own way,
 * `recursive`, tries without end where a folder takes no new ones and says that they do not exist, as /proc does.
 */
export async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    return await makeInside(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const made = await makeFolder(dirname(folder));
    const own = await makeInside(folder);
    return made ?? own;
  }
}
