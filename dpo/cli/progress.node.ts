import { SingleBar } from 'cli-progress';
import { say } from './terminal.node.ts';

/** A line that shows how far something is, with an estimate; without a terminal it stays silent. */
export interface Progress {
  update(done: number, shown?: Readonly<Record<string, string>>): void;
  /** Writes a line above. */
  log(line: string): void;
  stop(): void;
}

/** Whether somebody can watch a line that changes. */
export const isWatched = (): boolean => process.stderr.isTTY === true;

/** Begins to show progress; `format` may name what `update` is given, in braces. */
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
      say(line);
    },
    stop: () => {
      if (isTerminal) bar.stop();
    },
  };
}
