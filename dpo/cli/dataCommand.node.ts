import { dirname } from 'node:path';
import { Command } from 'commander';
import { removeLeftovers, replaceFile } from '../../tensor/index.node.ts';
import { FormatError, TensorError } from '../../tensor/index.ts';
import { pngFile } from '../config/fields.ts';
import { contactSheet } from '../data/contactSheet.ts';
import { describePairs, inspectPairs } from '../data/inspectPairs.ts';
import { openPairs } from '../data/openSources.node.ts';
import type { PreferencePair } from '../data/sources.ts';
import { counted } from '../messages.ts';
import { printResult, printStatus } from './terminal.node.ts';

interface InspectFlags {
  readonly sheet: string | false;
  readonly count: string;
  readonly json?: boolean;
}

/** Limit on the pairs of a contact sheet, whose images are all held in memory. */
const maxDrawn = 1000;

/** `data inspect`: a summary and a contact sheet of preference pairs. */
export function dataCommand(): Command {
  const inspect = new Command('inspect')
    .description(
      'Summarise preference pairs, and draw a sheet of some: the preferred image of each pair on the left, the other on the right.',
    )
    .argument(
      '<paths...>',
      'Parquet files with the columns of Pick-a-Pic or a folder of them, a JSONL file, or a folder with w and l',
    )
    .option('--sheet <file>', 'the PNG file that pairs are drawn into', 'contact-sheet.png')
    .option('--no-sheet', 'print the summary only')
    .option('--count <number>', 'pairs to draw', '16')
    .option('--json', 'print the summary as JSON')
    .action(async (paths: string[], { sheet, count, json }: InspectFlags) => {
      const wanted = Number(count);
      if (!Number.isInteger(wanted) || wanted < 1 || wanted > maxDrawn)
        throw new TensorError(`data inspect: --count must be a whole number from 1 to ${maxDrawn}, got '${count}'`);
      const file = sheet === false ? undefined : pngFile(sheet);
      if (file !== undefined && 'problem' in file)
        throw new TensorError(`data inspect: --sheet ${file.problem}, got '${sheet}'`);
      await using source = await openPairs(paths);
      const summary = await inspectPairs(source);
      if (json) printResult(JSON.stringify(summary));
      else printResult(describePairs(summary));
      if (summary.read === 0)
        throw new FormatError(`${source.name}: none of ${counted(summary.pairs, 'pair')} can be read`);
      if (sheet === false) return;
      await removeLeftovers(dirname(sheet));
      const pairs: PreferencePair[] = [];
      for (let i = 0; i < source.count && pairs.length < wanted; i++) {
        // The summary lists broken rows.
        await source.read(i).then(
          (pair) => pairs.push(pair),
          () => undefined,
        );
      }
      await replaceFile(sheet, (write) => write(contactSheet(pairs)));
      printStatus(`${counted(pairs.length, 'pair')} drawn into ${sheet}`);
    });
  return new Command('data').description('Look at preference data.').addCommand(inspect);
}
