import { defaultOf, describeKey, expectedOf, type Keys } from './configKey.ts';
import { convertKeys } from './convertKeys.ts';
import { evaluateKeys } from './evaluateKeys.ts';
import { pretrainKeys } from './pretrainKeys.ts';
import { sampleKeys } from './sampleKeys.ts';
import { trainKeys } from './trainKeys.ts';

/** The keys of each command that takes settings. */
export const commandKeys: Readonly<Record<string, Keys>> = {
  pretrain: pretrainKeys,
  train: trainKeys,
  sample: sampleKeys,
  evaluate: evaluateKeys,
  convert: convertKeys,
};

/** A Markdown table of keys: name, default, accepted values, help text. */
export function keysTable(keys: Keys): string {
  const rows = Object.entries(keys).map(([name, key]) => {
    const fallback = defaultOf(key);
    const cells = [
      `\`${name}\``,
      fallback === undefined ? 'required' : `\`${fallback}\``,
      expectedOf(key),
      describeKey(key),
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| key | default | accepted values | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** The text of docs/configuration.md, which lists every key of every command. */
export const configurationPage = (): string => `# Configuration

These commands take their settings from a JSON file, \`--config file.json\`, from flags, or from both; a flag overrides the file.
A key's flag is its name with dashes: \`learningRate\` is \`--learning-rate\`. A flag's value is read as JSON where that fits the key, and
as text otherwise: \`--steps 200\`, \`--ema-decay null\`. Several values make a list: \`--size 16 24\`, \`--pairs a.parquet b.parquet\`.
An unknown key is refused, and the message names the nearest known one.

Paths in a file are relative to the file's folder, paths in flags to the working directory.
${Object.entries(commandKeys)
  .map(([name, keys]) => `\n## ${name}\n\n${keysTable(keys)}\n`)
  .join('')}`;
