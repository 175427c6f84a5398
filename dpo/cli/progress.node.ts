import { SingleBar } from 'cli-progress';

/** A line that shows how far something is, with an estimate; without a terminal it stays silent. */
export interface Progress {
  update(done: number, shown?: Readonly<Record<string, string>>): void;
  /** Writes a line above. */
  log(line: string): void;
  stop(): void;
}

/** Begins to show progress; `format` may name what `update` is given, in braces. */
export function progress(what: string, total: number, { from = 0, shown = '' } = {}): Progress {
  const isTerminal = process.stderr.isTTY === true;
  const bar = new SingleBar({
    format: `${what} {bar} {value}/{total}${shown}, {eta_formatted} left`,
    barsize: 24,
    etaBuffer: 50,
    hideCursor: true,
    stream: process.stderr,
    forceRedraw: true,
  });
  if (isTerminal)
    bar.start(total, from, Object.fromEntries([...shown.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, '–'])));
  return {
    update: (done, values) => {
      if (isTerminal) bar.update(done, values);
    },
    log: (line) => {
      if (isTerminal) process.stderr.write('\r\x1b[K');
      console.error(line);
    },
    stop: () => {
      if (isTerminal) bar.stop();
    },
  };
}

/** The status of a process that was stopped by Ctrl-C, by convention. */
export const interrupted = 130;

/** Within so many milliseconds a second signal is the first again: programs in between pass on what the terminal sends too. */
const echo = 500;

/** A signal that Ctrl-C gives once; a second Ctrl-C ends the process as usual. */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) return;
    console.error('\nstopping after this step; press Ctrl-C again to stop at once');
    controller.abort();
    setTimeout(() => process.off('SIGINT', stop), echo).unref();
  };
  process.on('SIGINT', stop);
  process.once('SIGTERM', () => controller.abort());
  return controller.signal;
}
