import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { attempt, fateOf, ownProcess, readWholeIfThere, removedAtExit } from '../../../tensor/index.node.ts';
import { TensorError } from '../../../tensor/index.ts';

const name = 'run.lock';

/** How often a lock that another process makes or removes at the same time is looked at again. */
const tries = 5;

/**
 * Keeps other runs from writing into a folder until it is disposed of, or until the process ends. A lock counts for nothing if
 * its process has ended, if its process's number belongs to another one by now, or if it names no process.
 * @throws TensorError naming the process that writes there
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

/** Locks that this process holds or is about to: some systems do not tell when a process began. */
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

/** Makes a file that is not there yet; false where it is. */
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

/** What a lock says; undefined where it is gone. One that is empty may be about to be written, so it is given a moment. */
async function textOf(path: string): Promise<string | undefined> {
  const text = await read(path);
  if (text !== '') return text;
  await new Promise((resolve) => setTimeout(resolve, 100));
  return read(path);
}

/** The process that a lock names: its number, its machine and when it began, which versions before did not write. */
function writerIn(text: string) {
  const [, pid, host, start] = /^(\d{1,10}) (\S{1,255})(?: (\d+))?\n?$/.exec(text) ?? [];
  return host === undefined || Number(pid) < 1 ? undefined : { pid: Number(pid), host, start };
}

/** Removes a lock that counts for nothing, unless another run has replaced it since it was read. */
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
