import { open, readlink, realpath, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { removedAtExit } from './removedAtExit.node.ts';
import { attempt } from './systemError.node.ts';
import { temporaryName } from './temporaryFiles.node.ts';

/** Follows the symbolic links of a path, whether or not the file exists. */
async function followLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const folder = await realpath(dirname(path));
    const link = await readlink(path).catch(() => undefined);
    return link === undefined ? path : followLinks(resolve(folder, link));
  }
}

/** Flushes a folder's entries to disk, after files in it were made or renamed. Windows cannot. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes a file, piece by piece, under a temporary name in the same folder, and renames it to `path` once it is complete
 * and on disk: at any time, also after an error, `path` holds either the old or the new complete file. If `path` is a
 * symbolic link, its target is replaced and the link stays.
 */
export async function replaceFile(
  path: string,
  produce: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const target = await attempt('write', path, followLinks(path));
  const temporary = await temporaryName(target);
  const handle = await attempt('write', path, open(temporary, 'wx'));
  const isDone = removedAtExit(temporary);
  try {
    await produce((bytes) => attempt('write', path, handle.writeFile(bytes)));
    await attempt('write', path, handle.sync());
    await attempt('write', path, handle.close());
    await attempt('write', path, rename(temporary, target));
    await attempt('write', path, syncFolder(dirname(target)));
  } catch (error) {
    // Keeps the first error; a second close does nothing.
    await handle.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  } finally {
    isDone();
  }
}

/** Writes a text file as `replaceFile` does. */
export const replaceText = (path: string, text: string): Promise<void> =>
  replaceFile(path, (write) => write(new TextEncoder().encode(text)));
