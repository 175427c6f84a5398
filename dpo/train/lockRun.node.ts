import { open, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { attempt } from '../../tensor/index.node.ts';
import { TensorError } from '../../tensor/index.ts';

const name = 'run.lock';

/** Whether a process of this machine is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Keeps other runs from writing into a folder until it is disposed of. What a run left that was killed counts for nothing.
 * @throws TensorError naming the process that writes there
 */
export async function lockRun(folder: string): Promise<AsyncDisposable> {
  const path = join(folder, name);
  const own = `${process.pid} ${hostname()}\n`;
  for (let tries = 0; tries < 2; tries++) {
    const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return undefined;
      return attempt('write', path, Promise.reject(error));
    });
    if (file !== undefined) {
      try {
        await attempt('write', path, file.writeFile(own));
      } finally {
        await file.close();
      }
      return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    }
    const [holder = '', host = ''] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ');
    if (host !== '' && (host !== hostname() || isAlive(Number(holder))))
      throw new TensorError(
        `${folder}: process ${holder}${host === hostname() ? '' : ` on ${host}`} is writing there; give another \`output\`, ` +
          `or stop it first. If it is gone, remove ${path}`,
      );
    await attempt('write', path, rm(path, { force: true }));
  }
  throw new TensorError(`${folder}: another run has just begun to write there; give another \`output\``);
}
