import type { Command } from 'commander';
import { evaluateKeys } from '../config/evaluateKeys.ts';
import { evaluate } from '../evaluate/evaluate.node.ts';
import type { Figure } from '../evaluate/figure.ts';
import { type Progress, progress } from './progress.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';
import { interruptible } from './stopping.node.ts';
import { printResult, printStatus } from './terminal.node.ts';

const show = ({ value, low, high }: Figure): string =>
  `${value.toPrecision(3)} (${low.toPrecision(3)} to ${high.toPrecision(3)})`;

/** `evaluate`: compares a tuned pipeline with its base. */
export function evaluateCommand(): Command {
  return commandOf('evaluate', 'Compare a tuned pipeline with its base, and write a report.', evaluateKeys)
    .option('--json', 'print the summary as JSON')
    .action(async ({ json, ...options }: Record<string, unknown>) => {
      const settings = await settingsOf('evaluate', options, evaluateKeys);
      let bar: { readonly part: string; readonly progress: Progress } | undefined;
      const summary = await evaluate(settings, {
        signal: interruptible(),
        onProgress: (part, done, total) => {
          if (bar?.part !== part) {
            bar?.progress.stop();
            bar = { part, progress: progress(part, total) };
          }
          bar.progress.update(done);
        },
        onWarning: (message) => (bar?.progress ?? { log: printStatus }).log(`warning: ${message}`),
      }).finally(() => bar?.progress.stop());
      if (json === true) {
        printResult(JSON.stringify(summary));
        return;
      }
      const both = ({ base, tuned }: Readonly<Record<'base' | 'tuned', Figure>>): string =>
        `${show(base)} → ${show(tuned)}`;
      const lines = [
        ['preferred share', both(summary.preferredShare)],
        ['caption match', both(summary.captionMatch)],
        ['KID to preferred images', both(summary.kid)],
        ['implicit accuracy, held out', show(summary.implicitAccuracy)],
        [`reward: ${summary.rewardName}`, both(summary.reward)],
        ['win rate', show(summary.winRate)],
        ['KL estimate, nats', show(summary.klEstimate)],
        ['accuracy of the judge, held out', show(summary.classifierAccuracy)],
      ] as const;
      for (const [name, text] of lines) printResult(`${name.padEnd(42)} ${text}`);
      printResult(`the report is ${settings.output}/report.html`);
    });
}
