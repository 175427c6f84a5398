import { inspect } from 'node:util';
import type { Command } from 'commander';
import { attempt } from '../../tensor/index.node.ts';
import { printable, TensorError } from '../../tensor/index.ts';

/** Writes a line for people to stderr. All that the command line prints goes through here, `tell` or the progress bar. */
export const say = (line: string): void => console.error(printable(line));

/** Writes a line that was asked for to stdout. */
export const tell = (line: string): void => console.log(printable(line));

/** Says what went wrong: what the user can mend in words; the rest is a fault of this program, with its stack. */
export const sayError = (error: unknown): void =>
  say(error instanceof TensorError ? `error: ${error.message}` : inspect(error));

/** Lets what commander says of a command and those below it, which repeats what was typed, take the same way. */
export function guardCommand(command: Command): Command {
  command.configureOutput({
    writeOut: (text) => void process.stdout.write(printable(text)),
    writeErr: (text) => void process.stderr.write(printable(text)),
  });
  command.commands.forEach(guardCommand);
  return command;
}

/**
 * Tells when stdout or stderr takes nothing more: `closed` where whoever read it is gone, `hung up` where the terminal is;
 * `failed` for anything else, such as a full disk, once that has been said.
 */
export function watchOutputs(onLost: (how: 'closed' | 'hung up' | 'failed') => void): void {
  for (const [name, stream] of [
    ['stdout', process.stdout],
    ['stderr', process.stderr],
  ] as const) {
    let isLost = false;
    stream.on('error', async (error: NodeJS.ErrnoException) => {
      if (isLost) return;
      isLost = true;
      if (error.code === 'EPIPE') onLost('closed');
      else if (error.code === 'EIO' && stream.isTTY) onLost('hung up');
      else {
        await attempt('write to', name, Promise.reject(error)).catch(sayError);
        onLost('failed');
      }
    });
  }
}
