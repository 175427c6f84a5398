import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fateOf, ownProcess } from './runningProcess.node.ts';

/** Names of hosts may hold what names of files must not. */
const hostTag = (): string => createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** `.name-host-pid-start-random.tmp`; the start is `x` where the system does not tell. */
const pattern = /^\..+-([0-9a-f]{8})-(\d+)-(\d+|x)-[0-9a-f]{8}\.tmp$/s;

/** The name of a file to write in place of `target` until it is complete; it says which process writes. */
export async function temporaryName(target: string): Promise<string> {
  const { pid, start = 'x' } = await ownProcess();
  const random = randomBytes(4).toString('hex');
  return join(dirname(target), `.${basename(target)}-${hostTag()}-${pid}-${start}-${random}.tmp`);
}

/**
 * Removes temporary files of `replaceFile` from a folder, and from all that `inside` names in it, whose process has ended
 * without removing them. Those of a process that still runs stay, and those of other machines, of which nothing is known here.
 */
export async function removeLeftovers(folder: string, ...inside: readonly string[]): Promise<void> {
  const own = await readdir(folder).catch(() => []);
  const deeper = inside.map(async (part) => {
    const names = await readdir(join(folder, part), { recursive: true }).catch(() => []);
    return names.map((name) => join(part, name));
  });
  for (const name of [...own, ...(await Promise.all(deeper)).flat()]) {
    const [, host, pid, start] = pattern.exec(basename(name)) ?? [];
    if (host !== hostTag()) continue;
    const writer = { pid: Number(pid), host: hostname(), start: start === 'x' ? undefined : start };
    // What another process removes at the same time, or what must not be removed, is nothing to fail for.
    if ((await fateOf(writer)) === 'ended') await rm(join(folder, name), { force: true }).catch(() => undefined);
  }
}
