import { SingleBar } from 'cli-progress';
import { printStatus } from './terminal.node.ts';

/** A progress bar with an estimate of the time left; silent without a terminal. */
export interface Progress {
  /** Sets the number of finished parts and the values shown behind the bar. */
  update(done: number, shown?: Readonly<Record<string, string>>): void;
  /** Prints a line above the bar. */
  log(line: string): void;
  stop(): void;
}

/** True where stderr is a terminal, which can redraw a line. */
export const isWatched = (): boolean => process.stderr.isTTY === true;

/** Starts a progress bar over `total` parts; `shown` names values of `update` in braces. */
export function progress(what: string, total: number, { from = 0, shown = '' } = {}): Progress {
  const isTerminal = isWatched();
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
      printStatus(line);
    },
    stop: () => {
      if (isTerminal) bar.stop();
    },
  };
}
