import { readFile, stat } from 'node:fs/promises';
import { FormatError, type TensorError } from '../errors.ts';
import { existingPath } from './existingPath.node.ts';
import { attempt } from './systemError.node.ts';

/**
 * Finds a regular file under this name or the same name in another Unicode normalisation. `action` and `what` are for
 * messages: "cannot open model.safetensors: …".
 * @throws FormatError for a folder and for a device, a named pipe or a socket, which may never end; TensorError without a
 * file
 */
export async function regularFile(path: string, action = 'read', what = path): Promise<string> {
  const found = await existingPath(path);
  const stats = await attempt(action, what, stat(found));
  if (!stats.isFile())
    throw new FormatError(
      `cannot ${action} ${what}: it is ${stats.isDirectory() ? 'a folder' : 'a device, a pipe or a socket'}, not a file`,
    );
  return found;
}

/** Reads all bytes of a file that a user names. `what` names it in messages; throws as `regularFile` does. */
export async function readWhole(path: string, what = path): Promise<Uint8Array> {
  return attempt('read', what, readFile(await regularFile(path, 'read', what)));
}

/** Reads all bytes of a file; `undefined` if there is no such file. Other errors are those of `regularFile`. */
export const readWholeIfThere = (path: string): Promise<Uint8Array | undefined> =>
  readWhole(path).catch((error: TensorError) => {
    if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
    throw error;
  });
