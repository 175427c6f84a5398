import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';

/** Identifies a process in a file that outlives it. The system reuses process ids, so the start time is part of it. */
export interface RunningProcess {
  readonly pid: number;
  readonly host: string;
  /** The start time in the system's unit; equal texts are equal times. `undefined` if the system does not tell. */
  readonly start: string | undefined;
}

/** The start time of a process of this machine; `undefined` if there is none or the system does not tell. */
async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    // The name, in brackets, may hold any character. Fields 3 and on follow; field 22 is the start, in ticks since boot.
    const [state, ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // Z and X: the process has ended, but its parent has not read the exit status.
    return state === 'Z' || state === 'X' ? 'ended' : fields[18];
  }
  if (process.platform === 'win32') return undefined;
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
  const output = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)], { env }).catch(() => undefined);
  const time = Date.parse(`${output?.stdout.trim()} UTC`);
  return Number.isNaN(time) ? undefined : String(time / 1000);
}

/** True if this machine runs a process with this id. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

let current: Promise<RunningProcess> | undefined;

/** The current process. */
export function ownProcess(): Promise<RunningProcess> {
  current ??= startOf(process.pid).then((start) => ({ pid: process.pid, host: hostname(), start }));
  return current;
}

/**
 * The state of a process that a file names: `own` is the current process, `elsewhere` a process of another machine, whose
 * state is unknown. Compares start times, because another process may have the id of one that ended, even the current
 * process, as in a restarted container.
 */
export async function fateOf({ pid, host, start }: RunningProcess): Promise<'own' | 'running' | 'ended' | 'elsewhere'> {
  if (host !== hostname()) return 'elsewhere';
  if (pid === process.pid) return start !== undefined && start === (await ownProcess()).start ? 'own' : 'ended';
  if (!isThere(pid)) return 'ended';
  const now = await startOf(pid);
  return start !== undefined && now !== undefined && start !== now ? 'ended' : 'running';
}
