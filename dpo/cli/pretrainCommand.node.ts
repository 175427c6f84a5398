import type { Command } from 'commander';
import { pretrainKeys } from '../config/pretrainKeys.ts';
import { pretrain } from '../train/pretrain.node.ts';
import { interrupted, interruptible, type Progress, progress } from './progress.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';

export function pretrainCommand(): Command {
  return commandOf('pretrain', 'Train a small text-to-image pipeline from nothing on captioned pictures.', pretrainKeys)
    .option('--json', 'print the result as JSON')
    .action(async ({ json, ...options }: Record<string, unknown>) => {
      const settings = await settingsOf('pretrain', options, pretrainKeys);
      let bar: Progress | undefined;
      const log = (line: string): void => (bar ?? { log: console.error }).log(line);
      const result = await pretrain(settings, {
        signal: interruptible(),
        onStart: (lines, { from, steps }) => {
          for (const line of lines) log(line);
          if (from > 0) log(`going on after step ${from}`);
          bar = progress('pretraining', steps, { from, shown: ', loss {loss}' });
        },
        onStep: ({ step, loss }) => bar?.update(step, { loss: loss.toFixed(4) }),
        onWarning: (message) => log(`warning: ${message}`),
      }).finally(() => bar?.stop());
      if (json === true) console.log(JSON.stringify(result));
      else if (result.stopped) console.error(`stopped after step ${result.steps}; the same command goes on from there`);
      else console.error(`the pipeline is in ${result.model}`);
      if (result.stopped) process.exitCode = interrupted;
    });
}
