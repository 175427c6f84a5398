import { isatty } from 'node:tty';
import { printStatus } from './terminal.node.ts';

/** Exit statuses of a stopped process, as shells report them: 128 + the signal's number, SIGPIPE's where a pipe was closed. */
export const statusOf = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, closed: 141, failed: 1 } as const;

/** The reason of an aborted signal: the exit status to end with. */
export class Stopped extends Error {
  override readonly name = 'AbortError';
  readonly status: number;

  constructor(status: number) {
    super('stopped');
    this.status = status;
  }
}

/** Milliseconds in which a second signal counts as a copy: a parent process may forward what the terminal also sends. */
const repeatWindow = 500;

/** The running work, if it can stop without losing results, and the time at which it was told to stop, in milliseconds. */
let work: AbortController | undefined;
let stoppedAt = 0;

const hasTerminal = [0, 1, 2].some((stream) => isatty(stream));

/**
 * Ends the process by SIGHUP itself: a normal exit makes Node reset the terminal, which aborts where the terminal is gone.
 * Shells see the same status.
 */
function endBySignal(): void {
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
}

/** Stops the running work after its current step; exits at once where no work can be stopped. */
export function stop(status: number): void {
  if (status === statusOf.SIGHUP && hasTerminal) process.once('exit', endBySignal);
  if (work === undefined) process.exit(status);
  if (work.signal.aborted) return;
  stoppedAt = performance.now();
  work.abort(new Stopped(status));
}

/**
 * Starts work that can be stopped. The returned signal aborts at the first Ctrl-C, SIGTERM, SIGHUP or lost output. A second
 * Ctrl-C or SIGTERM ends the process at once; temporary files are removed then (`removedAtExit`).
 */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  work = controller;
  const endAtOnce = (status: number): void => {
    if (performance.now() - stoppedAt > repeatWindow) process.exit(status);
  };
  process.on('SIGINT', () => {
    if (controller.signal.aborted) return endAtOnce(statusOf.SIGINT);
    stop(statusOf.SIGINT);
    printStatus('\nstopping after this step; press Ctrl-C again to stop at once');
  });
  process.on('SIGTERM', () => {
    if (controller.signal.aborted) return endAtOnce(statusOf.SIGTERM);
    stop(statusOf.SIGTERM);
  });
  // The system and the shell may both send SIGHUP, some time apart, so that a second one must not end the process.
  process.on('SIGHUP', () => stop(statusOf.SIGHUP));
  return controller.signal;
}

/** The exit status for work that `signal` has stopped. */
export const stoppedStatus = ({ reason }: AbortSignal): number => (reason instanceof Stopped ? reason.status : 1);
