import { Command } from 'commander';
import { packageVersion } from '../version.node.ts';
import { dataCommand } from './dataCommand.node.ts';
import { doctorCommand } from './doctorCommand.node.ts';
import { evaluateCommand } from './evaluateCommand.node.ts';
import { inspectCommand } from './inspectCommand.node.ts';
import { pretrainCommand } from './pretrainCommand.node.ts';
import { refuseUnknown } from './refuseUnknown.ts';
import { sampleCommand } from './sampleCommand.node.ts';
import { Stopped } from './stopping.node.ts';
import { guardCommand, say, sayError } from './terminal.node.ts';
import { trainCommand } from './trainCommand.node.ts';

/** Runs the command line with what was typed after its name; what goes wrong is said, and is in the status of the process. */
export async function runProgram(args: readonly string[]): Promise<void> {
  const program = new Command('diffusion-dpo')
    .description('Tune diffusion models on preference pairs, in TypeScript.')
    .version(await packageVersion())
    .showSuggestionAfterError()
    .addCommand(pretrainCommand())
    .addCommand(trainCommand())
    .addCommand(sampleCommand())
    .addCommand(evaluateCommand())
    .addCommand(dataCommand())
    .addCommand(inspectCommand())
    .addCommand(doctorCommand());
  try {
    await guardCommand(refuseUnknown(program)).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof Stopped) {
      say(error.message);
      process.exit(error.status);
    }
    sayError(error);
    process.exitCode = 1;
  }
}
