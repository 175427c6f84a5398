import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { loadModelFolder, saveModelFolder } from 'diffusion-dpo/diffusion/node';
import { flattenTree, ones, openDevice, readStorage, realize, setDefaultDevice } from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { describe, expect, test } from 'vitest';
import {
  config,
  filled,
  indexName,
  messageOf,
  small,
  useTemporaryFolder,
  valuesIn,
  weightsName,
} from './smallModelFolder.ts';

setDefaultDevice(await openDevice('reference'));

const { at, list, save, load } = useTemporaryFolder();

describe('weights', () => {
  test('are written in another dtype, as another variant, beside the first', async () => {
    await save(1.5);
    await save(2.5, { dtype: 'f16', variant: 'fp16' });
    expect(await list()).toEqual(['config.json', 'diffusion_pytorch_model.fp16.safetensors', weightsName]);
    const [whole, half] = [await load(), await load({ variant: 'fp16' })];
    expect([await valuesIn(whole.parameters), await valuesIn(half.parameters)]).toEqual([[1.5], [2.5]]);
    expect(flattenTree([whole.parameters, half.parameters]).map(({ tensor }) => tensor.dtype)).toEqual(
      [...'ffffffff'].map((_, i) => (i < 4 ? 'f32' : 'f16')),
    );
    const wide = await load({ variant: 'fp16', dtype: 'f32' });
    expect(flattenTree(wide.parameters).map(({ tensor }) => tensor.dtype)).toEqual(['f32', 'f32', 'f32', 'f32']);
    expect(await valuesIn(wide.parameters)).toEqual([2.5]);
  });

  test('are cut into shards, which the index lists', async () => {
    await save(1, { maxShardBytes: 24 });
    const shards = [1, 2, 3].map((i) => `diffusion_pytorch_model-0000${i}-of-00003.safetensors`);
    expect(await list()).toEqual(['config.json', ...shards, indexName].sort());
    expect(JSON.parse(await readFile(at(indexName), 'utf8'))).toEqual({
      metadata: { total_size: 52 },
      weight_map: {
        'first.weight': shards[0],
        'first.bias': shards[1],
        'second.weight': shards[1],
        'second.bias': shards[2],
      },
    });
    await using file = await openSafetensorsFile(at(shards[1] as string));
    expect([file.names, file.metadata]).toEqual([['first.bias', 'second.weight'], new Map([['format', 'pt']])]);
    expect(await valuesIn((await load()).parameters)).toEqual([1]);
  });

  test.each([
    [
      'diffusers',
      undefined,
      'diffusion_pytorch_model.safetensors.fp16.index.json',
      'diffusion_pytorch_model.safetensors.index.fp16.json',
    ],
    ['transformers', 'model', 'model.safetensors.index.fp16.json', 'model.safetensors.fp16.index.json'],
  ])('in shards of a variant have the index of %s, and may have the other', async (_, stem, written, other) => {
    const options = { stem, variant: 'fp16', maxShardBytes: 1 };
    await save(1, options);
    expect(await list()).toContain(written);
    expect(await list()).toContain(`${stem ?? 'diffusion_pytorch_model'}.fp16-00004-of-00004.safetensors`);
    await writeFile(at(other), await readFile(at(written)));
    await rm(at(written));
    expect(await valuesIn((await load(options)).parameters)).toEqual([1]);
    await save(2, options);
    expect(await list()).not.toContain(other);
    expect(await valuesIn((await load(options)).parameters)).toEqual([2]);
  });

  test('replace those that were there in another number of files, and nothing else', async () => {
    const others = ['README.md', 'diffusion_pytorch_model.bin', 'diffusion_pytorch_model.ema.safetensors'];
    for (const name of others) await writeFile(at(name), name);
    const single = ['config.json', weightsName];
    const pieces = ['1-of-00002', '2-of-00002'].map((end) => `diffusion_pytorch_model-0000${end}.safetensors`);
    for (const [value, maxShardBytes, names] of [
      [1, 40, ['config.json', ...pieces, indexName]],
      [2, 100, single],
      [3, 40, ['config.json', ...pieces, indexName]],
      [4, undefined, single],
    ] as const) {
      await save(value, { maxShardBytes });
      expect(await list()).toEqual([...others, ...names].sort());
      expect(await valuesIn((await load()).parameters)).toEqual([value]);
    }
  });

  test('of other names or other shapes are refused, all in one message', async () => {
    const many = Object.fromEntries(Array.from({ length: 23 }, (_, i) => [`extra.${i}`, ones([i])]));
    const shaped = { 'first.weight': ones([3, 2, 1]), 'first.bias': ones([3]), 'second.bias': ones([1]).cast('i32') };
    await save(1);
    await saveSafetensors(at(weightsName), { ...shaped, ...many });
    const lines = (await messageOf(load())).split('\n');
    expect(lines[0]).toBe(`${at(weightsName)}: these are not the parameters of this model:`);
    expect(lines.slice(1, 5)).toEqual([
      '  missing (1):',
      '    second.weight [1, 3]',
      '  unexpected (23):',
      '    extra.0 [0]',
    ]);
    expect(lines.slice(24)).toEqual([
      '    … and 3 more',
      '  of another shape (1):',
      '    first.weight is [3, 2, 1], the model has [3, 2]',
      '  of another kind (1):',
      '    second.bias is I32, the model has numbers with fractions',
    ]);
    expect(await messageOf(load({ ignore: ['extra.*'] }))).not.toContain('unexpected');
  });

  test('that are not there are reported, with what is there instead', async () => {
    await writeFile(at('config.json'), '{}');
    expect(await messageOf(load())).toBe(`${at()}: there is none of ${weightsName}, ${indexName}; it holds no weights`);
    await writeFile(at('diffusion_pytorch_model.bin'), '');
    expect(await messageOf(load())).toContain(
      'it holds only diffusion_pytorch_model.bin; files that are not safetensors are not read',
    );
    await writeFile(at('diffusion_pytorch_model.fp16.safetensors'), '');
    expect(await messageOf(load())).toMatch(
      /it holds only diffusion_pytorch_model\.bin, diffusion_pytorch_model\.fp16\.saf.*s$/,
    );
  });

  test('in one file and in shards at once are refused', async () => {
    await save(1);
    await writeFile(at(indexName), '{}');
    expect(await messageOf(load())).toBe(
      `${at()}: there are both ${weightsName} and ${indexName}; which of them is right? Remove the other`,
    );
  });

  test('of an index that points elsewhere are refused', async () => {
    await save(1, { maxShardBytes: 1 });
    await writeFile(at(indexName), JSON.stringify({ weight_map: { 'first.weight': '../secret.safetensors' } }));
    expect(await messageOf(load())).toContain('in "../secret.safetensors", which is not a plain file name');
    for (const option of [{ variant: '../x' }, { stem: 'a/b' }])
      expect(await messageOf(load(option))).toContain('must be letters, digits, _ and -');
  });

  test('of an index with the wrong size are refused', async () => {
    await save(1, { maxShardBytes: 40 });
    const index = JSON.parse(await readFile(at(indexName), 'utf8'));
    await writeFile(at(indexName), JSON.stringify({ ...index, metadata: { total_size: 104 } }));
    expect(await messageOf(load())).toContain('total_size is 104, but the tensors of all shards take 52 bytes');
  });

  test('that are cut short are refused', async () => {
    await save(1);
    const { length } = await readFile(at(weightsName));
    for (const size of [length - 1, 100, 5, 0]) {
      await truncate(at(weightsName), size);
      expect(await messageOf(load())).toMatch(
        /model\.safetensors: .*(is the file complete\?|too few for a safetensors)/,
      );
    }
  });

  test('have the bits that they had, NaN and all', async () => {
    const bits = Uint16Array.of(0x7e01, 0xfe00, 0x0001, 0x8000, 0x7c00, 0x3c00);
    await saveSafetensors(at('bits'), { x: await realize(ones([3, 2]).cast('f16')) });
    const file = await readFile(at('bits'));
    file.set(new Uint8Array(bits.buffer), file.length - 12);
    await writeFile(at('bits'), file);
    await using reader = await openSafetensorsFile(at('bits'));
    const params = { ...filled(1), first: { ...filled(1).first, weight: await reader.read('x') } };
    await saveModelFolder(at(), config, params, { model: small });
    const { parameters } = await loadModelFolder(at(), { model: small });
    expect(await readStorage(parameters.first.weight)).toEqual(bits);
  });
});
