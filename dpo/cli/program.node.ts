import { Command } from 'commander';
import { packageVersion } from '../version.node.ts';
import { convertCommand } from './convertCommand.node.ts';
import { dataCommand } from './dataCommand.node.ts';
import { doctorCommand } from './doctorCommand.node.ts';
import { evaluateCommand } from './evaluateCommand.node.ts';
import { inspectCommand } from './inspectCommand.node.ts';
import { pretrainCommand } from './pretrainCommand.node.ts';
import { sampleCommand } from './sampleCommand.node.ts';
import { Stopped } from './stopping.node.ts';
import { guardCommand, printError, printStatus } from './terminal.node.ts';
import { trainCommand } from './trainCommand.node.ts';

/** Runs the command line with the arguments after the program's name. Errors are printed and set the process's exit status. */
export async function runProgram(args: readonly string[]): Promise<void> {
  const program = new Command('diffusion-dpo')
    .description('Tune diffusion models on preference pairs, in TypeScript.')
    .version(await packageVersion())
    .showSuggestionAfterError()
    .addCommand(pretrainCommand())
    .addCommand(trainCommand())
    .addCommand(sampleCommand())
    .addCommand(evaluateCommand())
    .addCommand(convertCommand())
    .addCommand(dataCommand())
    .addCommand(inspectCommand())
    .addCommand(doctorCommand());
  try {
    await guardCommand(refuseUnknown(program)).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof Stopped) {
      printStatus(error.message);
      process.exit(error.status);
    }
    printError(error);
    process.exitCode = 1;
  }
}

/**
 * Makes a command with subcommands refuse an unknown subcommand's name before it prints help: commander would answer
 * `unknown --help` with the help of the parent command.
 */
function refuseUnknown(command: Command): Command {
  const names = command.commands.flatMap((one) => [one.name(), ...one.aliases()]);
  command.on('beforeHelp', () => {
    const name = command.args.find((text) => !text.startsWith('-') && text !== 'help');
    if (command.commands.length === 0 || name === undefined || names.includes(name)) return;
    command.error(`error: unknown command '${name}'; there are ${names.join(', ')}`);
  });
  command.commands.forEach(refuseUnknown);
  return command;
}
