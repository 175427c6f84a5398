#!/usr/bin/env node
import { Command } from 'commander';
import { TensorError } from '../../tensor/index.ts';
import { packageVersion } from '../version.node.ts';
import { dataCommand } from './dataCommand.node.ts';
import { doctorCommand } from './doctorCommand.node.ts';
import { evaluateCommand } from './evaluateCommand.node.ts';
import { inspectCommand } from './inspectCommand.node.ts';
import { pretrainCommand } from './pretrainCommand.node.ts';
import { interrupted } from './progress.node.ts';
import { sampleCommand } from './sampleCommand.node.ts';
import { trainCommand } from './trainCommand.node.ts';

const program = new Command('diffusion-dpo')
  .description('Tune diffusion models on preference pairs, in TypeScript.')
  .showSuggestionAfterError()
  .addCommand(pretrainCommand())
  .addCommand(trainCommand())
  .addCommand(sampleCommand())
  .addCommand(evaluateCommand())
  .addCommand(dataCommand())
  .addCommand(inspectCommand())
  .addCommand(doctorCommand());

// Whoever reads the output may have seen enough of it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.version(await packageVersion()).parseAsync();
} catch (error) {
  if ((error as Error).name === 'AbortError') {
    console.error('stopped');
    process.exit(interrupted);
  }
  // What the user can mend is told in words; the rest is a fault of this program, with its stack.
  console.error(error instanceof TensorError ? `error: ${error.message}` : error);
  process.exitCode = 1;
}
