import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';

/** A process as a file names it that outlives it: the number alone may be another's by now. */
export interface RunningProcess {
  readonly pid: number;
  readonly host: string;
  /** When it began, as the system counts; equal texts are equal times. Undefined where the system does not tell. */
  readonly start: string | undefined;
}

/** When a process of this machine began; undefined where there is none, or where the system does not tell. */
async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    // The name, in brackets, may hold anything. Behind it come fields 3 and on; 22 is the start, in ticks since boot.
    const [state, ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // One that has ended, but that its parent has not asked about yet, does nothing any more.
    return state === 'Z' || state === 'X' ? 'ended' : fields[18];
  }
  if (process.platform === 'win32') return undefined;
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
  const told = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)], { env }).catch(() => undefined);
  const time = Date.parse(`${told?.stdout.trim()} UTC`);
  return Number.isNaN(time) ? undefined : String(time / 1000);
}

/** Whether there is a process of that number on this machine. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

let own: Promise<RunningProcess> | undefined;

/** The process that asks. */
export function ownProcess(): Promise<RunningProcess> {
  own ??= startOf(process.pid).then((start) => ({ pid: process.pid, host: hostname(), start }));
  return own;
}

/**
 * What has become of a process that a file names. One of another machine cannot be seen from here. The number of one that has
 * ended may belong to another process, even to the one that asks, as in a container that is started again; when it began tells.
 */
export async function fateOf({ pid, host, start }: RunningProcess): Promise<'own' | 'running' | 'ended' | 'elsewhere'> {
  if (host !== hostname()) return 'elsewhere';
  if (pid === process.pid) return start !== undefined && start === (await ownProcess()).start ? 'own' : 'ended';
  if (!isThere(pid)) return 'ended';
  const now = await startOf(pid);
  return start !== undefined && now !== undefined && start !== now ? 'ended' : 'running';
}
