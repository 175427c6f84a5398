import { access, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FormatError } from '../errors.ts';

/**
 * Finds a file or folder whose name differs from `path` only in Unicode normalisation: some systems write ä as one
 * character (NFC), others as two (NFD). Returns `path` if it exists, or if no such name exists.
 * @throws FormatError for several such names, none of which is `path`
 */
export async function existingPath(path: string): Promise<string> {
  // ASCII text has only one form.
  if (path.normalize('NFC') === path.normalize('NFD')) return path;
  const isThere = await access(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== 'ENOENT',
  );
  if (isThere || dirname(path) === path) return path;
  const folder = await existingPath(dirname(path));
  const wanted = basename(path).normalize('NFC');
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.normalize('NFC') === wanted);
  if (names.length > 1)
    throw new FormatError(
      `${path}: ${names.length} names in ${folder} differ from it, and from each other, only in Unicode normalisation (NFC, NFD); ` +
        'rename all but one',
    );
  return join(folder, names[0] ?? basename(path));
}
