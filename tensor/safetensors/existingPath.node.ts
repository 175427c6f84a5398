import { access, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FormatError } from '../errors.ts';

/**
 * The path of what is there under a name that differs from `path` only in Unicode normalisation: one system writes ä as one
 * character (NFC), another as two (NFD), and both look alike. Where there is `path` itself, or nothing, it is `path`.
 * @throws FormatError where there are several such names, and none is that of `path`
 */
export async function existingPath(path: string): Promise<string> {
  // Characters of ASCII have one form.
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
