import type { Command } from 'commander';
import { trainKeys } from '../config/trainKeys.ts';
import { train } from '../train/train.node.ts';
import { isWatched, type Progress, progress } from './progress.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';
import { interruptible, stoppedStatus } from './stopping.node.ts';
import { printResult, printStatus } from './terminal.node.ts';

/** `train`: tunes a pipeline on preference pairs. */
export function trainCommand(): Command {
  return commandOf('train', 'Tune a text-to-image pipeline on preference pairs.', trainKeys)
    .option('--json', 'print the result as JSON')
    .action(async ({ json, ...options }: Record<string, unknown>) => {
      const settings = await settingsOf('train', options, trainKeys);
      let bar: Progress | undefined;
      const log = (line: string): void => (bar ?? { log: printStatus }).log(line);
      const signal = interruptible();
      const result = await train(settings, {
        signal,
        onReference: (done, batches) => {
          bar ??= progress('reference errors', batches);
          bar.update(done);
        },
        onStart: (lines, { from, steps }) => {
          bar?.stop();
          for (const line of lines) log(line);
          if (from > 0) log(`resuming after step ${from}`);
          bar = progress('training', steps, { from, shown: ', loss {loss}, accuracy {accuracy}' });
        },
        onStep: ({ step }) => bar?.update(step),
        onRow: ({ step, loss, accuracy, margin, winnerChange, loserChange, validation }) => {
          const show = (value: number | undefined, digits = 3): string => value?.toPrecision(digits) ?? '–';
          bar?.update(step, { loss: loss.toFixed(4), accuracy: accuracy?.toFixed(2) ?? '–' });
          if (validation !== undefined || !isWatched())
            log(
              `step ${step}: loss ${loss.toFixed(4)}, accuracy ${accuracy?.toFixed(2) ?? '–'}, margin ${show(margin)}, ` +
                `d_w ${show(winnerChange)}, d_l ${show(loserChange)}` +
                (validation === undefined ? '' : `; held out: accuracy ${validation.accuracy.toFixed(2)}`),
            );
        },
        onWarning: (message) => log(`warning: ${message}`),
      }).finally(() => bar?.stop());
      const { steps, stopped, model, seconds } = result;
      if (json === true) printResult(JSON.stringify({ steps, stopped, model, seconds, last: result.rows.at(-1) }));
      else if (stopped) printStatus(`stopped after step ${steps}; run the same command to resume`);
      else printStatus(`${steps} steps in ${seconds.toFixed(0)} s; the tuned model is ${model}`);
      if (stopped) process.exitCode = stoppedStatus(signal);
    });
}
