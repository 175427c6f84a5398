import { inspect } from 'node:util';
import type { Command } from 'commander';
import { attempt } from '../../tensor/index.node.ts';
import { printable, TensorError } from '../../tensor/index.ts';

/** Writes a line of status to stderr. All output of the command line goes through this file and the progress bar. */
export const printStatus = (line: string): void => console.error(printable(line));

/** Writes a line of the result to stdout. */
export const printResult = (line: string): void => console.log(printable(line));

/** Writes an error to stderr. A `TensorError` is for the user; any other error is a bug and is printed with its stack. */
export const printError = (error: unknown): void =>
  printStatus(error instanceof TensorError ? `error: ${error.message}` : inspect(error));

/** Escapes what commander prints for a command and its subcommands, since it repeats the user's input. */
export function guardCommand(command: Command): Command {
  command.configureOutput({
    writeOut: (text) => void process.stdout.write(printable(text)),
    writeErr: (text) => void process.stderr.write(printable(text)),
  });
  command.commands.forEach(guardCommand);
  return command;
}

/**
 * Calls `onLost` when stdout or stderr can no longer be written: `closed` after its reader is gone, `hung up` after the terminal
 * is, `failed` for another reason, such as a full disk, after the error is printed.
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
        await attempt('write to', name, Promise.reject(error)).catch(printError);
        onLost('failed');
      }
    });
  }
}
