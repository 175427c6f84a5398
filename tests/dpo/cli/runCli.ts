import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../dpo/cli/main.node.ts', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

interface When {
  /** What stderr is to say first. */
  readonly says: RegExp;
  /** A signal to send then, or what to do. */
  readonly send: NodeJS.Signals | ((child: ChildProcess) => void);
  /** Sends it again at once, as programs in between may that pass signals on. */
  readonly twice?: boolean;
}

/**
 * Runs the command line; `when` is asked after each piece of what it says whether to do something. `stdout` and `stderr` may be
 * files, as numbers, that it writes to.
 */
export function runCli(
  args: readonly string[],
  when?: When,
  { stdout = 'pipe', stderr = 'pipe' }: { readonly stdout?: 'pipe' | number; readonly stderr?: 'pipe' | number } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], {
    cwd: root,
    stdio: ['ignore', stdout, stderr],
  });
  let [out, err, sent] = ['', '', false];
  child.stdout?.on('data', (piece) => {
    out += piece;
  });
  child.stderr?.on('data', (piece) => {
    err += piece;
    if (when === undefined || sent || !when.says.test(err)) return;
    sent = true;
    const { send, twice } = when;
    const act = (): unknown => (typeof send === 'string' ? child.kill(send) : send(child));
    act();
    if (twice) setTimeout(act, 30);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, out, err }));
  });
}
