import { isatty } from 'node:tty';
import { say } from './terminal.node.ts';

/** Statuses of a process that was stopped, as shells give them: 128 and the number of the signal, SIGPIPE's where a pipe closed. */
export const statusOf = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, closed: 141, failed: 1 } as const;

/** Why work was stopped. */
export class Stopped extends Error {
  override readonly name = 'AbortError';
  readonly status: number;

  constructor(status: number) {
    super('stopped');
    this.status = status;
  }
}

/** Within so many milliseconds a second signal is the first again: programs in between pass on what the terminal sends too. */
const echo = 500;

/** What is under way, if it can be stopped without losing work, and when it was told to. */
let work: AbortController | undefined;
let told = 0;

const hasTerminal = [0, 1, 2].some((stream) => isatty(stream));

/**
 * Lets the signal itself end the process: where the terminal is gone, Node fails to reset it at its end, and aborts.
 * To shells the status is the same.
 */
function endBySignal(): void {
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
}

/** Ends what is under way after its step, or, where nothing is that can be, the process. */
export function stop(status: number): void {
  if (status === statusOf.SIGHUP && hasTerminal) process.once('exit', endBySignal);
  if (work === undefined) process.exit(status);
  if (work.signal.aborted) return;
  told = performance.now();
  work.abort(new Stopped(status));
}

/**
 * Begins work that can be stopped; gives the signal that Ctrl-C, SIGTERM, SIGHUP and outputs that are lost give once. A second
 * Ctrl-C or SIGTERM ends the process at once; what must not stay is removed then (`removedAtExit`).
 */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  work = controller;
  const endAtOnce = (status: number): void => {
    if (performance.now() - told > echo) process.exit(status);
  };
  process.on('SIGINT', () => {
    if (controller.signal.aborted) return endAtOnce(statusOf.SIGINT);
    stop(statusOf.SIGINT);
    say('\nstopping after this step; press Ctrl-C again to stop at once');
  });
  process.on('SIGTERM', () => {
    if (controller.signal.aborted) return endAtOnce(statusOf.SIGTERM);
    stop(statusOf.SIGTERM);
  });
  // The system and the shell may both send it, some time apart.
  process.on('SIGHUP', () => stop(statusOf.SIGHUP));
  return controller.signal;
}

/** The status of a process whose work `signal` has stopped. */
export const stoppedStatus = ({ reason }: AbortSignal): number => (reason instanceof Stopped ? reason.status : 1);
