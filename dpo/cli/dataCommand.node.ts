import { dirname } from 'node:path';
import { Command } from 'commander';
import { removeLeftovers, replaceFile } from '../../tensor/index.node.ts';
import { FormatError, TensorError } from '../../tensor/index.ts';
import { pngFile } from '../config/fields.ts';
import { counted } from '../counted.ts';
import { contactSheet } from '../data/contactSheet.ts';
import { describePairs, inspectPairs } from '../data/inspectPairs.ts';
import { openPairs } from '../data/openSources.node.ts';
import type { PreferencePair } from '../data/sources.ts';
import { say, tell } from './terminal.node.ts';

interface InspectFlags {
  readonly sheet: string | false;
  readonly count: string;
  readonly json?: boolean;
}

/** Pairs of a contact sheet: their images are all held in memory. */
const mostDrawn = 1000;

export function dataCommand(): Command {
  const inspect = new Command('inspect')
    .description(
      'Summarise preference pairs, and draw some of them: preferred images on the left, the others on the right.',
    )
    .argument(
      '<paths...>',
      'Parquet files with the columns of Pick-a-Pic or a folder of them, a JSONL file, or a folder with w and l',
    )
    .option('--sheet <file>', 'the PNG to draw pairs into', 'contact-sheet.png')
    .option('--no-sheet', 'only summarise')
    .option('--count <number>', 'how many pairs are drawn', '16')
    .option('--json', 'print the summary as JSON')
    .action(async (paths: string[], { sheet, count, json }: InspectFlags) => {
      const wanted = Number(count);
      if (!Number.isInteger(wanted) || wanted < 1 || wanted > mostDrawn)
        throw new TensorError(`data inspect: --count must be a whole number from 1 to ${mostDrawn}, got '${count}'`);
      const file = sheet === false ? undefined : pngFile(sheet);
      if (file !== undefined && 'problem' in file)
        throw new TensorError(`data inspect: --sheet ${file.problem}, got '${sheet}'`);
      await using source = await openPairs(paths);
      const summary = await inspectPairs(source);
      if (json) tell(JSON.stringify(summary));
      else tell(describePairs(summary));
      if (summary.read === 0)
        throw new FormatError(`${source.name}: none of ${counted(summary.pairs, 'pair')} can be read`);
      if (sheet === false) return;
      await removeLeftovers(dirname(sheet));
      const pairs: PreferencePair[] = [];
      for (let i = 0; i < source.count && pairs.length < wanted; i++) {
        // Broken rows are told of in the summary.
        await source.read(i).then(
          (pair) => pairs.push(pair),
          () => undefined,
        );
      }
      await replaceFile(sheet, (write) => write(contactSheet(pairs)));
      say(`${counted(pairs.length, 'pair')} drawn into ${sheet}`);
    });
  return new Command('data').description('Look at preference data.').addCommand(inspect);
}
