#!/usr/bin/env node
import { runProgram } from './program.node.ts';
import { statusOf, stop } from './stopping.node.ts';
import { printError, watchOutputs } from './terminal.node.ts';

watchOutputs((how) => {
  const status = how === 'hung up' ? statusOf.SIGHUP : statusOf[how];
  // Work that finishes without being able to report it counts as failed.
  process.exitCode = status;
  stop(status);
});
process.on('uncaughtException', (error) => {
  printError(error);
  process.exit(1);
});

await runProgram(process.argv.slice(2));
