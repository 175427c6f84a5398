import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, type FileAccess, fromFile } from '../../tensor/index.node.ts';
import { FormatError, TensorError } from '../../tensor/index.ts';
import { decodeImage } from './decodeImage.node.ts';
import { joinedRows } from './joinedSource.ts';
import { openJsonLinesCaptioned, openJsonLinesPairs } from './jsonLinesSources.node.ts';
import { openPairFolder } from './pairFolder.node.ts';
import { parquetCaptioned } from './parquet/captioned.ts';
import { openParquet, type ParquetFile } from './parquet/parquetFile.ts';
import { pickAPicPairs } from './parquet/pickAPic.ts';
import type { CaptionedSource, PairSource } from './sources.ts';

/**
 * Opens preference pairs. Each path is one of
 * - a Parquet file with the columns of Pick-a-Pic, or a folder of such files;
 * - a file *.jsonl with lines {caption, winner, loser}, the latter two being paths of images;
 * - a folder with folders w and l, which hold the preferred and the other images under the same names.
 * @throws FormatError or TensorError for a file of the wrong format or one that cannot be read
 */
export async function openPairs(paths: string | readonly string[]): Promise<PairSource> {
  const sources = await openEach(paths, async (path) => {
    if (await isFolder(path)) {
      const entries = await attempt('read', path, readdir(path));
      if (entries.includes('w') || entries.includes('l')) return openPairFolder(path);
    } else if (path.endsWith('.jsonl')) return openJsonLinesPairs(path);
    return openParquetFiles(path, pickAPicPairs);
  });
  const sum = (of: 'ties' | 'unlabelled'): number => sources.reduce((total, source) => total + source[of], 0);
  return { ...joinedRows(sources), ties: sum('ties'), unlabelled: sum('unlabelled') };
}

/**
 * Opens captioned images, to train a model from scratch: files *.jsonl with lines {caption, image}, or Parquet files with the
 * columns caption, and jpg or image, or folders of such files.
 * @throws FormatError or TensorError for a file of the wrong format or one that cannot be read
 */
export const openCaptioned = async (paths: string | readonly string[]): Promise<CaptionedSource> =>
  joinedRows(
    await openEach(paths, async (path) =>
      path.endsWith('.jsonl') && !(await isFolder(path))
        ? openJsonLinesCaptioned(path)
        : openParquetFiles(path, parquetCaptioned),
    ),
  );

/** Opens a source for each path; where one fails, closes those opened before. */
async function openEach<S extends AsyncDisposable>(
  paths: string | readonly string[],
  open: (path: string) => Promise<S>,
): Promise<S[]> {
  const all = typeof paths === 'string' ? [paths] : paths;
  if (all.length === 0) throw new TensorError('there is no path of data to open');
  const opened: S[] = [];
  try {
    for (const path of all) opened.push(await open(path));
    return opened;
  } catch (error) {
    for (const source of opened) await source[Symbol.asyncDispose]();
    throw error;
  }
}

const isFolder = async (path: string): Promise<boolean> => (await attempt('open', path, stat(path))).isDirectory();

/** The path of a Parquet file, or the paths of those in a folder, by name. */
async function parquetPaths(path: string): Promise<readonly string[]> {
  if (!(await isFolder(path))) return [path];
  const files = (await attempt('read', path, readdir(path))).filter((file) => file.endsWith('.parquet')).sort();
  if (files.length > 0) return files.map((file) => join(path, file));
  throw new FormatError(`${path}: there are no *.parquet files in this folder, nor folders w and l`);
}

async function openParquetFiles<S>(
  path: string,
  open: (name: string, files: readonly ParquetFile[], decode: typeof decodeImage) => S | Promise<S>,
): Promise<S & AsyncDisposable> {
  const opened: FileAccess[] = [];
  const close = async () => {
    for (const file of opened.splice(0)) await file.close();
  };
  try {
    const files = [];
    for (const file of await parquetPaths(path)) {
      const access = await fromFile(file);
      opened.push(access);
      files.push(await openParquet(access));
    }
    const source = await open(path, files, decodeImage);
    return { ...source, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
