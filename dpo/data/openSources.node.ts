import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, type FileAccess, fromFile } from '../../tensor/index.node.ts';
import { FormatError, TensorError } from '../../tensor/index.ts';
import { decodePicture } from './decodePicture.node.ts';
import { openJsonLinesCaptioned, openJsonLinesPairs } from './jsonLinesSources.node.ts';
import { openPairFolder } from './pairFolder.node.ts';
import { parquetCaptioned } from './parquet/captioned.ts';
import { openParquet, type ParquetFile } from './parquet/parquetFile.ts';
import { pickAPicPairs } from './parquet/pickAPic.ts';
import type { CaptionedSource, PairSource } from './sources.ts';

/**
 * Opens pairs of which one picture was preferred. What there is decides how they are read:
 * - Parquet files with the columns of Pick-a-Pic: one, several, or a folder of them;
 * - a file *.jsonl, whose lines are {caption, winner, loser} with paths of pictures;
 * - a folder with the folders w and l, which hold the preferred pictures and the others under the same names.
 * @throws FormatError or TensorError saying what is wrong with the files
 */
export async function openPairs(paths: string | readonly string[]): Promise<PairSource> {
  const [first, ...more] = pathsOf(paths);
  if (more.length === 0 && (await isFolder(first))) {
    const entries = await attempt('read', first, readdir(first));
    if (entries.includes('w') || entries.includes('l')) return openPairFolder(first);
  } else if (more.length === 0 && first.endsWith('.jsonl')) return openJsonLinesPairs(first);
  return openParquetFiles([first, ...more], pickAPicPairs);
}

/**
 * Opens captioned pictures, to train a model from nothing: a file *.jsonl whose lines are {caption, image}, or Parquet files
 * with the columns caption, and jpg or image.
 * @throws FormatError or TensorError saying what is wrong with the files
 */
export async function openCaptioned(paths: string | readonly string[]): Promise<CaptionedSource> {
  const [first, ...more] = pathsOf(paths);
  if (more.length === 0 && first.endsWith('.jsonl')) return openJsonLinesCaptioned(first);
  return openParquetFiles([first, ...more], parquetCaptioned);
}

function pathsOf(paths: string | readonly string[]): readonly [string, ...string[]] {
  const [first, ...more] = typeof paths === 'string' ? [paths] : paths;
  if (first === undefined) throw new TensorError('there is no path of data to open');
  return [first, ...more];
}

const isFolder = async (path: string): Promise<boolean> => (await attempt('open', path, stat(path))).isDirectory();

/** Parquet files, those of folders in the order of their names. */
async function parquetPaths(paths: readonly string[]): Promise<readonly string[]> {
  const found = [];
  for (const path of paths) {
    if (!(await isFolder(path))) {
      found.push(path);
      continue;
    }
    const files = (await attempt('read', path, readdir(path))).filter((file) => file.endsWith('.parquet')).sort();
    if (files.length === 0)
      throw new FormatError(`${path}: there are no *.parquet files in this folder, nor folders w and l`);
    found.push(...files.map((file) => join(path, file)));
  }
  return found;
}

async function openParquetFiles<S>(
  paths: readonly string[],
  open: (name: string, files: readonly ParquetFile[], decode: typeof decodePicture) => S | Promise<S>,
): Promise<S & AsyncDisposable> {
  const opened: FileAccess[] = [];
  const close = async () => {
    for (const file of opened.splice(0)) await file.close();
  };
  try {
    const files = [];
    for (const path of await parquetPaths(paths)) {
      const access = await fromFile(path);
      opened.push(access);
      files.push(await openParquet(access));
    }
    const source = await open(paths.join(', '), files, decodePicture);
    return { ...source, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
