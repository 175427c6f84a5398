#!/usr/bin/env node
import { runProgram } from './program.node.ts';
import { statusOf, stop } from './stopping.node.ts';
import { sayError, watchOutputs } from './terminal.node.ts';

watchOutputs((how) => {
  const status = how === 'hung up' ? statusOf.SIGHUP : statusOf[how];
  // Work that is done by now, but that nobody could be told of, is no success.
  process.exitCode = status;
  stop(status);
});
process.on('uncaughtException', (error) => {
  sayError(error);
  process.exit(1);
});

await runProgram(process.argv.slice(2));
