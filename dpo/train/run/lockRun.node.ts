import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { attempt, fateOf, ownProcess, readWholeIfThere, removedAtExit } from '../../../tensor/index.node.ts';
import { TensorError } from '../../../tensor/index.ts';

const name = 'run.lock';

/** Attempts to take a lock that other processes make or remove at the same time. */
const tries = 5;

/**
 * Locks a folder for one run, until the lock is disposed of or the process ends. A lock is stale if its process has ended, if
 * another process has that number by now, or if the lock names no process.
 * @throws TensorError naming the process that writes into the folder
 */
export async function lockRun(folder: string): Promise<AsyncDisposable> {
  const path = resolve(folder, name);
  if (reserved.has(path)) throw taken(folder, path, await ownProcess());
  reserved.add(path);
  try {
    await take(folder, path);
  } catch (error) {
    reserved.delete(path);
    throw error;
  }
  const isDone = removedAtExit(path);
  return {
    async [Symbol.asyncDispose]() {
      await rm(path, { force: true });
      isDone();
      reserved.delete(path);
    },
  };
}

/**
 * Locks that this process holds or is taking. Without this list, its own locks look stale where no start time is known.
 */
const reserved = new Set<string>();

const taken = (folder: string, path: string, { pid, host }: { readonly pid: number; readonly host: string }) =>
  new TensorError(
    `${folder}: process ${pid}${host === hostname() ? '' : ` on ${host}`} is writing there; give another \`output\`, ` +
      `or stop it first. If it is gone, remove ${path}`,
  );

async function take(folder: string, path: string): Promise<void> {
  const { pid, host, start } = await ownProcess();
  for (let i = 0; i < tries; i++) {
    if (await create(path, `${pid} ${host}${start === undefined ? '' : ` ${start}`}\n`)) return;
    const text = await textOf(path);
    if (text === undefined) continue;
    const writer = writerIn(text);
    if (writer !== undefined && (await fateOf(writer)) !== 'ended') throw taken(folder, path, writer);
    await removeStale(path, text);
  }
  throw new TensorError(`${folder}: another run has just begun to write there; give another \`output\``);
}

/** Creates a file; returns false where it exists. */
async function create(path: string, text: string): Promise<boolean> {
  const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    return attempt('write', path, Promise.reject(error));
  });
  if (file === undefined) return false;
  try {
    await attempt('write', path, file.writeFile(text));
    return true;
  } finally {
    await file.close();
  }
}

async function read(path: string): Promise<string | undefined> {
  const bytes = await readWholeIfThere(path);
  return bytes && new TextDecoder().decode(bytes);
}

/**
 * The text of a lock; undefined where it is gone. An empty one may be about to be written, so it is read again a moment
 * later.
 */
async function textOf(path: string): Promise<string | undefined> {
  const text = await read(path);
  if (text !== '') return text;
  await new Promise((resolve) => setTimeout(resolve, 100));
  return read(path);
}

/** The process that a lock names: its number, machine and start time. Earlier versions wrote no start time. */
function writerIn(text: string) {
  const [, pid, host, start] = /^(\d{1,10}) (\S{1,255})(?: (\d+))?\n?$/.exec(text) ?? [];
  return host === undefined || Number(pid) < 1 ? undefined : { pid: Number(pid), host, start };
}

/** Removes a stale lock, unless another run has replaced it since it was read. */
async function removeStale(path: string, text: string): Promise<void> {
  const aside = `${path}-${randomBytes(4).toString('hex')}`;
  const isMoved = await rename(path, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? false : attempt('write', path, Promise.reject(error))),
  );
  if (!isMoved) return;
  if ((await read(aside)) === text) await attempt('write', path, rm(aside, { force: true }));
  else await attempt('write', path, rename(aside, path));
}
