import { mkdir, open, readdir, realpath, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { attempt, makeFolder, readWhole, removedAtExit, syncFolder } from '../../tensor/index.node.ts';
import { FormatError, parseJson, TensorError } from '../../tensor/index.ts';

/**
 * The files of a folder are replaced together. New ones are written into a folder inside, which is then renamed: from that
 * moment they count as written, and are moved to their places one by one. Whenever the process is killed, there is one
 * complete set, and whoever comes next, to read or to write, finishes the moves.
 */
const unfinished = '.saving';
const finished = '.saved';

/** In the folder of new files: the names of those to remove before the first new one is moved. */
const removals = '.remove.json';

/** Folders that this process is writing into. */
const busy = new Set<string>();

/** Writes a file and waits until it is on disk. */
export async function writeText(path: string, text: string): Promise<void> {
  const handle = await attempt('write', path, open(path, 'wx'));
  try {
    await attempt('write', path, handle.writeFile(text));
    await attempt('write', path, handle.sync());
  } finally {
    await handle.close();
  }
}

/**
 * Replaces files of a folder, which is made if it is not there, together. `write` writes the new ones into the folder
 * that it is given; where it fails, everything is as before. `isReplaced` says which files go.
 */
export async function replaceFiles(
  folder: string,
  write: (staging: string) => Promise<void>,
  isReplaced: (file: string) => boolean,
): Promise<void> {
  const made = await attempt('write', folder, makeFolder(folder));
  const place = await attempt('write', folder, realpath(folder));
  if (busy.has(place)) throw new TensorError(`cannot write ${folder}: an earlier save into it is not done; await it`);
  busy.add(place);
  const isDone = removedAtExit(join(place, unfinished));
  try {
    await finishReplacing(folder);
    await prepare(folder, write, isReplaced).catch(async (error: unknown) => {
      // What went wrong first is what matters.
      await rm(join(folder, unfinished), { recursive: true, force: true }).catch(() => undefined);
      if (made !== undefined) await rmdir(folder).catch(() => undefined);
      throw error;
    });
    await attempt('write', folder, syncFolder(folder));
    if (made !== undefined) await attempt('write', folder, syncFolder(dirname(place)));
    await finishReplacing(folder);
  } finally {
    isDone();
    busy.delete(place);
  }
}

async function prepare(
  folder: string,
  write: (staging: string) => Promise<void>,
  isReplaced: (file: string) => boolean,
): Promise<void> {
  const staging = join(folder, unfinished);
  // What is there was left by a process that was killed before its files were complete.
  await attempt('write', folder, rm(staging, { recursive: true, force: true }));
  await attempt('write', folder, mkdir(staging));
  await write(staging);
  const old = (await attempt('write', folder, readdir(folder))).filter(isReplaced);
  const [file, ...more] = await attempt('write', folder, readdir(staging));
  // One file takes the place of another in one step. Of several, no old one may ever stand beside a new one.
  const isOneStep = more.length === 0 && old.every((name) => name === file);
  if (!isOneStep) await writeText(join(staging, removals), JSON.stringify(old));
  await attempt('write', folder, syncFolder(staging));
  await attempt('write', folder, rename(staging, join(folder, finished)));
}

/**
 * Removes files that a process which was killed had not completed, from a folder and those in it. Nothing may be saving there.
 */
export async function removeUnfinishedSaves(folder: string): Promise<void> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  for (const name of names.filter((one) => basename(one) === unfinished))
    await attempt('write', folder, rm(join(folder, name), { recursive: true, force: true }));
}

/** Finishes what a process that was killed has left, if there is anything. */
export async function finishReplacing(folder: string): Promise<void> {
  const source = join(folder, finished);
  const files = await readdir(source).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (files === undefined) return;
  if (files.includes(removals)) {
    for (const name of await readRemovals(join(source, removals)))
      await attempt('write', folder, rm(join(folder, name), { force: true }));
    // From here on the same names mean new files.
    await attempt('write', folder, rm(join(source, removals)));
  }
  // By their names, config.json comes first: weights that are in place are never beside an older configuration.
  for (const name of files.filter((name) => name !== removals).sort()) {
    await attempt('write', folder, rename(join(source, name), join(folder, name)));
  }
  await attempt('write', folder, rmdir(source));
  await attempt('write', folder, syncFolder(folder));
}

/** The list of what to remove; it may come from anywhere, so it must not lead out of the folder. */
async function readRemovals(path: string): Promise<readonly string[]> {
  const names = parseJson(await readWhole(path), path);
  if (
    Array.isArray(names) &&
    names.every((name) => typeof name === 'string' && /^[^/\\]+$/.test(name) && !/^\.+$/.test(name))
  )
    return names;
  throw new FormatError(`${path}: this is not a list of plain file names`);
}
