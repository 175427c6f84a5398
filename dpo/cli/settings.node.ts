import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { readObject } from '../../diffusion/index.node.ts';
import {
  defaultOf,
  describeKey,
  expectedOf,
  type Key,
  type Keys,
  keysWithoutEffect,
  readSettings,
  type SettingsOf,
  withKeyNames,
} from '../config/configKey.ts';
import { printStatus } from './terminal.node.ts';

/** learningRate → learning-rate. */
const flagOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The value of a text that is JSON, such as a number, a list or null; any other text itself. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A flag's value: the first reading that its key accepts, else the first reading, which the key refuses later. */
function valueOf(given: string | readonly string[] | true, { field }: Key<unknown>): unknown {
  if (given === true) return true;
  const texts = typeof given === 'string' ? [given] : given;
  const lists = [texts.map(parsed), texts];
  const readings = texts.length === 1 ? [...lists.map(([one]) => one), ...lists] : lists;
  return readings.find((reading) => 'value' in field(reading)) ?? readings[0];
}

/** True where a key accepts a list of texts or numbers, so that its flag takes several values. */
const takesList = ({ field }: Key<unknown>): boolean =>
  [
    ['one', 'two'],
    [1, 2],
  ].some((list) => 'value' in field(list));

/** A command with a flag for each key, and `--config` for a JSON file of keys. */
export function commandOf(name: string, about: string, keys: Keys): Command {
  const command = new Command(name).description(about);
  command.option('--config <file>', 'a JSON file with any of the keys below; flags override it');
  for (const [name, key] of Object.entries(keys)) {
    const fallback = defaultOf(key);
    const shown = `${expectedOf(key)}; ${fallback === undefined ? 'must be given' : `default ${fallback}`}`;
    const value = takesList(key) ? '[values...]' : '[value]';
    command.addOption(new Option(`--${flagOf(name)} ${value}`, `${describeKey(key)} (${shown})`));
    if (key.otherName !== undefined)
      command.addOption(
        new Option(`--${flagOf(key.otherName)} ${value}`, `Another name of --${flagOf(name)}.`).hideHelp(),
      );
  }
  return command;
}

/**
 * The settings of a call: the configuration file, if there is one, overridden by flags. Paths in the file are relative to its
 * folder, paths in flags to the working directory. Prints a note for each key without an effect.
 * @throws TensorError as `readSettings`, or where the file cannot be read
 */
export async function settingsOf<const K extends Keys>(
  command: string,
  options: Readonly<Record<string, unknown>>,
  keys: K,
): Promise<SettingsOf<K>> {
  const { config, ...flags } = options;
  const fromFile = typeof config === 'string' ? await readConfigFile(config, keys) : {};
  const given = Object.fromEntries(
    Object.entries(withKeyNames(flags, keys)).flatMap(([name, text]) => {
      const key = Object.hasOwn(keys, name) ? keys[name] : undefined;
      return key === undefined ? [] : [[name, valueOf(text as string | readonly string[] | true, key)]];
    }),
  );
  const all = { ...fromFile, ...given };
  const settings = readSettings(typeof config === 'string' ? `${command}, ${config}` : command, all, keys);
  for (const note of keysWithoutEffect(all, settings, keys)) printStatus(`note: ${note}`);
  return settings;
}

async function readConfigFile(path: string, keys: Keys): Promise<Record<string, unknown>> {
  const json = withKeyNames(await readObject(path), keys);
  const resolved = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolved);
    return typeof value === 'string' ? resolve(dirname(path), value) : value;
  };
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => [
      name,
      Object.hasOwn(keys, name) && keys[name]?.isPath ? resolved(value) : value,
    ]),
  );
}
