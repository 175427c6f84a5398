import { defaultOf, describeKey, expectedOf, type Keys } from './configKey.ts';
import { evaluateKeys } from './evaluateKeys.ts';
import { pretrainKeys } from './pretrainKeys.ts';
import { sampleKeys } from './sampleKeys.ts';
import { trainKeys } from './trainKeys.ts';

/** The commands that take settings, with their keys. */
export const commandKeys: Readonly<Record<string, Keys>> = {
  pretrain: pretrainKeys,
  train: trainKeys,
  sample: sampleKeys,
  evaluate: evaluateKeys,
};

/** Keys as a table in Markdown. */
export function keysTable(keys: Keys): string {
  const rows = Object.entries(keys).map(([name, key]) => {
    const fallback = defaultOf(key);
    const cells = [
      `\`${name}\``,
      fallback === undefined ? 'needed' : `\`${fallback}\``,
      expectedOf(key),
      describeKey(key),
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| key | default | a value is | what it says |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** The page of the documentation that lists every key of every command. */
export const configurationPage = (): string => `# Configuration

The commands below take their settings from a JSON file, \`--config file.json\`, from flags, or from both; flags count more. The flag of
a key is its name with dashes: \`learningRate\` is \`--learning-rate\`. Values of flags are JSON, or else texts:
\`--steps 200\`, \`--ema-decay null\`; several make a list: \`--size 16 24\`, \`--pairs a.parquet b.parquet\`. A key that is not known is refused, with the one that may be meant.

Paths in a file count from the file's folder, paths in flags from where the command is run.
${Object.entries(commandKeys)
  .map(([name, keys]) => `\n## ${name}\n\n${keysTable(keys)}\n`)
  .join('')}`;
