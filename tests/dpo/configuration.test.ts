import { readFile, writeFile } from 'node:fs/promises';
import { configurationPage, evaluateKeys, pretrainKeys, readSettings, sampleKeys, trainKeys } from 'diffusion-dpo/dpo';
import { describe, expect, test } from 'vitest';
import { describeKey, expectedOf, keysWithoutEffect } from '../../dpo/config/configKey.ts';

const page = new URL('../../docs/configuration.md', import.meta.url);
const needed = { model: 'base', pairs: 'pairs.parquet', output: 'out' };

test.each([
  ['train', trainKeys, ['batchSize', 'accumulation', 'loraRank', 'validationDraws', 'buckets', 'size']],
  ['pretrain', pretrainKeys, ['batchSize', 'merges', 'sampleSteps', 'size']],
  ['sample', sampleKeys, ['samplingSteps', 'sampleBatchSize', 'count', 'columns', 'zoom', 'size']],
  ['evaluate', evaluateKeys, ['batchSize', 'samples', 'draws', 'candidates', 'mostPairs', 'samplingSteps', 'size']],
] as const)('%s refuses numbers that would exhaust memory, with the value and the limit', (command, keys, names) => {
  for (const name of names)
    expect(() => readSettings(command, { [name]: 1e9 }, keys), name).toThrow(
      new RegExp(`${name}: must be a whole number from \\d+ to \\d+.*, got 1000000000`),
    );
});

test('docs/configuration.md is up to date', async () => {
  if (process.env.UPDATE_DOCS === '1') await writeFile(page, configurationPage());
  expect(await readFile(page, 'utf8')).toBe(configurationPage());
});

describe('settings of train', () => {
  test('have defaults', () => {
    expect(readSettings('train', needed, trainKeys)).toMatchObject({
      ...{ beta: 5000, objective: 'dpo', method: 'full', pairs: ['pairs.parquet'], validation: null, emaDecay: null },
    });
  });

  test.each([
    [{ betta: 1 }, /betta: is not known here.*beta/],
    [{ learningrate: 1 }, /learningrate: is not known here.*learningRate/],
    [{ model: undefined }, /model: must be given(?!, got)/],
    [{ pairs: [] }, /pairs: must be a text, or a list of texts/],
    [{ beta: 0 }, /beta: must be a number above 0, got 0/],
    [{ beta: '5000' }, /beta: must be a number above 0, got "5000"/],
    [{ steps: 1.5 }, /steps: must be a whole number from 1/],
    [{ objective: 'ppo' }, /objective: must be one of "dpo", "sft"/],
    [{ captionDropout: 1.5 }, /captionDropout: must be a number from 0 to 1/],
    [{ size: [16] }, /size: must be a whole number from 1 to 8192, \[height, width\], or null/],
    [{ loraTargets: 'to_q' }, /loraTargets: must be a list of texts/],
    [{ flip: 'yes' }, /flip: must be true or false/],
    [{ seed: -1 }, /seed: must be a whole number from 0/],
    [{ maxGradientNorm: -1 }, /maxGradientNorm: must be a number above 0, or null/],
  ])('%j is refused', (change, message) => {
    expect(() => readSettings('train', { ...needed, ...change }, trainKeys)).toThrow(message);
  });

  test('one message lists everything that is wrong', () => {
    expect(() => readSettings('train', { beta: -1, steps: 0 }, trainKeys)).toThrow(
      /model: must be given[\s\S]*pairs: must be given[\s\S]*output: must be given[\s\S]*beta: [\s\S]*steps: /,
    );
  });
});

test('keys without an effect under the other settings are reported', () => {
  const given = { ...needed, loraRank: 4, sftWeight: 2, steps: 3 };
  expect(keysWithoutEffect(given, readSettings('train', given, trainKeys), trainKeys)).toEqual([
    'loraRank has no effect: method is "full", not "lora"',
    'sftWeight has no effect: objective is "dpo", not "dpo+sft"',
  ]);
  const fitting = { ...given, method: 'lora', objective: 'dpo+sft' };
  expect(keysWithoutEffect(fitting, readSettings('train', fitting, trainKeys), trainKeys)).toEqual([]);
});

test('a key may be given by its former name, but not by both names', () => {
  const others = { output: 'out', unet: {}, textEncoder: {}, scheduler: {} };
  const settings = readSettings('pretrain', { ...others, pictures: 'a.parquet' }, pretrainKeys);
  expect(settings).toMatchObject({ images: ['a.parquet'] });
  expect(settings).not.toHaveProperty('pictures');
  const both = { ...others, images: 'a.parquet', pictures: 'b.parquet' };
  expect(() => readSettings('pretrain', both, pretrainKeys)).toThrow(/pictures: is not known here/);
});

test('the accepted values read as in the error message', () => {
  expect(expectedOf(trainKeys.objective)).toMatch(/^one of "dpo", "sft", "dpo\+sft", /);
  expect(expectedOf(trainKeys.maxGradientNorm)).toBe('a number above 0, or null');
  expect(describeKey(trainKeys.loraRank)).toBe('r, the rank of the adapters. Only with method "lora".');
});

/** A value of the wrong kind for any key. */
const wrong = { not: 'a value' };
test.each([
  ['train', trainKeys],
  ['pretrain', pretrainKeys],
  ['sample', sampleKeys],
  ['evaluate', evaluateKeys],
] as const)('every key of %s has a help text and refuses a wrong value', (command, keys) => {
  for (const [name, { about, field }] of Object.entries(keys)) {
    expect(about, name).toMatch(/^.{10,}\.$/s);
    if (['unet', 'textEncoder', 'scheduler'].includes(name)) continue;
    expect(field(wrong), `${command} ${name}`).toHaveProperty('problem');
  }
});
