import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fateOf, ownProcess } from './runningProcess.node.ts';

/** A hash, because host names may hold characters that file names must not. */
const hostTag = (): string => createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** `.name-host-pid-start-random.tmp`; the start is `x` if the system does not tell. */
const pattern = /^\..+-([0-9a-f]{8})-(\d+)-(\d+|x)-[0-9a-f]{8}\.tmp$/s;

/** A temporary name in the folder of `target`, which identifies the writing process. */
export async function temporaryName(target: string): Promise<string> {
  const { pid, start = 'x' } = await ownProcess();
  const random = randomBytes(4).toString('hex');
  return join(dirname(target), `.${basename(target)}-${hostTag()}-${pid}-${start}-${random}.tmp`);
}

/**
 * Removes temporary files of `replaceFile` whose process has ended, from a folder and, with all their subfolders, from the
 * folders `inside` it. Files of running processes and of other machines stay.
 */
export async function removeLeftovers(folder: string, ...inside: readonly string[]): Promise<void> {
  const direct = await readdir(folder).catch(() => []);
  const deeper = inside.map(async (part) => {
    const names = await readdir(join(folder, part), { recursive: true }).catch(() => []);
    return names.map((name) => join(part, name));
  });
  for (const name of [...direct, ...(await Promise.all(deeper)).flat()]) {
    const [, host, pid, start] = pattern.exec(basename(name)) ?? [];
    if (host !== hostTag()) continue;
    const writer = { pid: Number(pid), host: hostname(), start: start === 'x' ? undefined : start };
    // Another process may remove the file at the same time, or the system may refuse: neither is an error.
    if ((await fateOf(writer)) === 'ended') await rm(join(folder, name), { force: true }).catch(() => undefined);
  }
}
