import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * Makes a folder, and those that it is in, where they are not there; gives the outermost that was made. Node's own way,
 * `recursive`, tries without end where a folder takes no new ones and says that they do not exist, as /proc does.
 */
export async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder);
    return folder;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return undefined;
    const outer = dirname(folder);
    if (code !== 'ENOENT' || (await isThere(outer))) throw error;
    const made = await makeFolder(outer);
    const own = await makeFolder(folder);
    return made ?? own;
  }
}
