import type { Command } from 'commander';
import { pretrainKeys } from '../config/pretrainKeys.ts';
import { pretrain } from '../train/pretrain.node.ts';
import { type Progress, progress } from './progress.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';
import { interruptible, stoppedStatus } from './stopping.node.ts';
import { printResult, printStatus } from './terminal.node.ts';

/** `pretrain`: trains a small pipeline from scratch. */
export function pretrainCommand(): Command {
  return commandOf('pretrain', 'Train a small text-to-image pipeline from scratch on captioned images.', pretrainKeys)
    .option('--json', 'print the result as JSON')
    .action(async ({ json, ...options }: Record<string, unknown>) => {
      const settings = await settingsOf('pretrain', options, pretrainKeys);
      let bar: Progress | undefined;
      const log = (line: string): void => (bar ?? { log: printStatus }).log(line);
      const signal = interruptible();
      const result = await pretrain(settings, {
        signal,
        onStart: (lines, { from, steps }) => {
          for (const line of lines) log(line);
          if (from > 0) log(`resuming after step ${from}`);
          bar = progress('pretraining', steps, { from, shown: ', loss {loss}' });
        },
        onStep: ({ step, loss }) => bar?.update(step, { loss: loss.toFixed(4) }),
        onWarning: (message) => log(`warning: ${message}`),
      }).finally(() => bar?.stop());
      if (json === true) printResult(JSON.stringify(result));
      else if (result.stopped) printStatus(`stopped after step ${result.steps}; run the same command to resume`);
      else printStatus(`the pipeline is in ${result.model}`);
      if (result.stopped) process.exitCode = stoppedStatus(signal);
    });
}
