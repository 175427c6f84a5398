import { TensorError } from '../errors.ts';
import { existingPath } from './existingPath.node.ts';

const explanations: ReadonlyMap<unknown, string> = new Map([
  ['ENOENT', 'there is no such file or folder'],
  ['ENOTDIR', 'a part of the path is not a folder'],
  ['EISDIR', 'it is a folder'],
  ['EACCES', 'permission is denied'],
  ['EPERM', 'permission is denied'],
  ['EROFS', 'the file system is read-only'],
  ['ENOSPC', 'the disk is full'],
  ['EDQUOT', 'the disk quota is used up'],
  ['EMFILE', 'too many files are open'],
  ['ENAMETOOLONG', 'the name is too long'],
  ['ELOOP', 'its symbolic links lead in a circle'],
  ['EBADF', 'it has been closed'],
]);

/** Awaits a file operation and turns a system error into a readable TensorError, with the original as its cause. */
export async function attempt<T>(action: string, path: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const other = code === 'ENOENT' ? await existingPath(path) : path;
    const near =
      other === path ? '' : `; the name of ${other} differs from it only in Unicode normalisation (NFC, NFD)`;
    throw new TensorError(`cannot ${action} ${path}: ${explanations.get(code) ?? message}${near}`, { cause });
  }
}
