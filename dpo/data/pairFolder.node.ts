import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { attempt, readWhole } from '../../tensor/index.node.ts';
import { decodeLines, FormatError } from '../../tensor/index.ts';
import { readImage } from './decodeImage.node.ts';
import { parseJsonLines, valuesOf } from './jsonLines.ts';
import { checkIndex, oneGroup, type PairSource } from './sources.ts';

const isImage = (file: string): boolean => /\.(jpe?g|png|webp)$/i.test(file) && !file.startsWith('.');
/** The file name without extension, in Unicode's NFC, since file systems normalise names differently. */
const stemOf = (file: string): string => file.slice(0, -extname(file).length).normalize('NFC');

/** The image files of a folder by name without extension. */
async function imagesOf(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = (await attempt('read', folder, readdir(folder))).filter(isImage).sort();
  if (files.length === 0) throw new FormatError(`${folder}: there are no images (.jpg, .jpeg, .png or .webp)`);
  const byName = new Map<string, string>();
  for (const file of files) {
    const other = byName.get(stemOf(file));
    if (other !== undefined) throw new FormatError(`${folder}: ${other} and ${file} have one name; which is meant?`);
    byName.set(stemOf(file), file);
  }
  return byName;
}

/** Captions by image name: lines {name, caption} of captions.jsonl, or lines `name`, tab, `caption` of captions.txt. */
async function captionsOf(folder: string): Promise<ReadonlyMap<string, string> | undefined> {
  const files = (await attempt('read', folder, readdir(folder))).filter((file) => /^captions\.(jsonl|txt)$/.test(file));
  const [file] = files;
  if (file === undefined) return undefined;
  if (files.length > 1) throw new FormatError(`${folder}: there are ${files.join(' and ')}; which is meant?`);
  const path = join(folder, file);
  const bytes = await readWhole(path);
  const captions = file.endsWith('.jsonl') ? captionLines(bytes, path) : tabbedLines(bytes, path);
  return new Map(captions.map(({ name, caption }) => [isImage(name) ? stemOf(name) : name.normalize('NFC'), caption]));
}

const captionLines = (bytes: Uint8Array, path: string) =>
  parseJsonLines(bytes, path, ['name', 'caption']).map((line) => valuesOf(line));

function tabbedLines(bytes: Uint8Array, path: string) {
  return decodeLines(bytes, path).flatMap((line, i) => {
    if (line.trim() === '') return [];
    const tab = line.indexOf('\t');
    if (tab < 1)
      throw new FormatError(`${path}, line ${i + 1}: a line is the name of an image, a tab, and its caption`);
    return [{ name: line.slice(0, tab), caption: line.slice(tab + 1) }];
  });
}

const list = (names: readonly string[]): string =>
  names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');

/**
 * Pairs of a folder: preferred images in `w`, the others under the same names in `l`. Captions are in captions.jsonl or
 * captions.txt beside them; without either, a caption is the image's name with spaces for underscores.
 */
export async function openPairFolder(folder: string): Promise<PairSource> {
  const [winners, losers] = [await imagesOf(join(folder, 'w')), await imagesOf(join(folder, 'l'))];
  const captions = await captionsOf(folder);
  const problems = [
    { names: [...winners.keys()].filter((name) => !losers.has(name)), what: 'only in w' },
    { names: [...losers.keys()].filter((name) => !winners.has(name)), what: 'only in l' },
    { names: captions ? [...winners.keys()].filter((name) => !captions.has(name)) : [], what: 'without a caption' },
  ].filter(({ names }) => names.length > 0);
  if (problems.length > 0)
    throw new FormatError(`${folder}: ${problems.map(({ names, what }) => `${what}: ${list(names)}`).join('; ')}`);
  const names = [...winners.keys()];
  return {
    name: folder,
    count: names.length,
    ties: 0,
    unlabelled: 0,
    groups: oneGroup(names.length),
    async read(index) {
      checkIndex({ name: folder, count: names.length }, index);
      const name = names[index] as string;
      return {
        caption: captions?.get(name) ?? name.replaceAll('_', ' '),
        winner: await readImage(join(folder, 'w', winners.get(name) as string)),
        loser: await readImage(join(folder, 'l', losers.get(name) as string)),
        place: join(folder, 'w', winners.get(name) as string),
      };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
