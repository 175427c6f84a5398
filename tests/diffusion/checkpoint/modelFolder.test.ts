import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  open as openFile,
  readdir,
  readFile,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { grad } from 'diffusion-dpo/autograd';
import { clipTextModel, unet2dConditionModel, unet2dModel } from 'diffusion-dpo/diffusion';
import { loadModelFolder, saveModelFolder } from 'diffusion-dpo/diffusion/node';
import { adamW, linear, module, type ParamsOf } from 'diffusion-dpo/nn';
import {
  flattenTree,
  key,
  mapTree,
  ones,
  openDevice,
  read,
  readStorage,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const golden = (name: string) => fileURLToPath(new URL(`../../golden/unet/${name}`, import.meta.url));
const weightsName = 'diffusion_pytorch_model.safetensors';
const indexName = 'diffusion_pytorch_model.safetensors.index.json';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'model-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});
const at = (...names: string[]) => join(folder, ...names);
const list = async (path = folder) => (await readdir(path)).sort();
const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'nothing was thrown',
    (error: Error) => error.message,
  );

/** A model of two small layers, for what does not depend on the model. */
const small = () =>
  module({ first: linear(2, 3), second: linear(3, 1) }, ({ first, second }, x: Tensor) => second(first(x)));
type SmallParams = ParamsOf<ReturnType<typeof small>>;
const config = { _class_name: 'Small', _name_or_path: 'here' };
const filled = (value: number): SmallParams => mapTree(small().init(key(0)), ({ shape }) => ones(shape).mul(value));
const save = (value: number, options: Parameters<typeof saveModelFolder>[3] = {}) =>
  saveModelFolder(folder, config, filled(value), { model: small, ...options });
const load = (options: Parameters<typeof loadModelFolder>[1] = {}) =>
  loadModelFolder(folder, { model: small, ...options });

/** The values that a loaded tree has, each once. */
async function valuesIn(tree: unknown): Promise<number[]> {
  const values = await Promise.all(flattenTree(tree).map(async ({ tensor }) => Array.from(await read(tensor))));
  return [...new Set(values.flat())];
}

describe('published folders', () => {
  test.each(['ddpm', 'sd15', 'sdxl'])('%s, loaded and saved, has the same bytes', async (name) => {
    const { config, parameters } = await loadModelFolder(golden(name));
    await saveModelFolder(folder, config, parameters);
    expect(await list()).toEqual(['config.json', weightsName]);
    const [saved, published] = [await readFile(at(weightsName)), await readFile(join(golden(name), weightsName))];
    expect(saved.equals(published)).toBe(true);
    const [savedConfig, publishedConfig] = await Promise.all(
      [at('config.json'), join(golden(name), 'config.json')].map(async (path) =>
        JSON.parse(await readFile(path, 'utf8')),
      ),
    );
    expect(savedConfig).toEqual(publishedConfig);
  });

  test('are laid out in the same way after a training step', async () => {
    const { config, model, parameters } = await loadModelFolder(golden('sd15'), { model: unet2dConditionModel });
    const [x, context] = [ones([1, 4, 4, 4]), ones([1, 2, 32])];
    const loss = (own: typeof parameters) => model.apply(own, x, 3, { context }).square().mean();
    const optimiser = adamW<typeof parameters>();
    const step = optimiser.step(optimiser.init(parameters), grad(loss)(parameters), { learningRate: 1e-3 });
    const trained = await realize(step.params);
    await saveModelFolder(folder, config, trained);
    const headerOf = async (path: string) => {
      const bytes = await readFile(path);
      return bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE(0))).toString('latin1');
    };
    expect(await headerOf(at(weightsName))).toBe(await headerOf(join(golden('sd15'), weightsName)));
    const again = await loadModelFolder(folder);
    expect(again.config).toEqual(config);
    const [before, after, loaded] = [parameters, trained, again.parameters].map((tree) => flattenTree(tree));
    for (const [i, { path, tensor }] of (after ?? []).entries()) {
      const values = await readStorage(tensor);
      expect(await readStorage(loaded?.[i]?.tensor as Tensor), path).toEqual(values);
      expect(await readStorage(before?.[i]?.tensor as Tensor), path).not.toEqual(values);
    }
  });

  test('give the model and its parameters, typed', async () => {
    const { model, parameters } = await loadModelFolder(golden('sd15'), { model: unet2dConditionModel });
    const out = model.apply(parameters, ones([1, 4, 4, 4]), 3, { context: ones([1, 2, 32]) });
    expect((await read(out)).every(Number.isFinite)).toBe(true);
    expect(out.shape).toEqual([1, 4, 4, 4]);
  });

  test('of text encoders are model.safetensors, and may have position_ids', async () => {
    const text = {
      architectures: ['CLIPTextModelWithProjection'],
      model_type: 'clip_text_model',
      vocab_size: 10,
      hidden_size: 4,
      intermediate_size: 8,
      projection_dim: 3,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      max_position_embeddings: 5,
    };
    const parameters = await realize(clipTextModel(text).init(key(0)));
    await saveModelFolder(folder, text, parameters);
    expect(await list()).toEqual(['config.json', 'model.safetensors']);
    const tensors = new Map(flattenTree(parameters).map(({ path, tensor }) => [path, tensor]));
    tensors.set('text_model.embeddings.position_ids', tensor([[0, 1, 2, 3, 4]], { dtype: 'i32' }));
    await saveSafetensors(at('model.safetensors'), tensors);
    const loaded = await loadModelFolder(folder);
    expect(flattenTree(loaded.parameters).map(({ path }) => path)).toEqual(
      flattenTree(parameters).map(({ path }) => path),
    );
  });
});

describe('configurations', () => {
  test('keep notes, and are written as diffusers writes them', async () => {
    const config = {
      sample_size: 8,
      _class_name: 'UNet2DModel',
      _someone: { z: [1, 2], a: 'note' },
      block_out_channels: [8, 8],
      down_block_types: ['DownBlock2D', 'DownBlock2D'],
      up_block_types: ['UpBlock2D', 'UpBlock2D'],
      norm_num_groups: 4,
    };
    await saveModelFolder(folder, config, unet2dModel(config).init(key(0)));
    expect(await readFile(at('config.json'), 'utf8')).toBe(`{
  "_class_name": "UNet2DModel",
  "_someone": {
    "a": "note",
    "z": [
      1,
      2
    ]
  },
  "block_out_channels": [
    8,
    8
  ],
  "down_block_types": [
    "DownBlock2D",
    "DownBlock2D"
  ],
  "norm_num_groups": 4,
  "sample_size": 8,
  "up_block_types": [
    "UpBlock2D",
    "UpBlock2D"
  ]
}
`);
    expect((await loadModelFolder(folder)).config).toEqual(config);
  });

  test.each([
    ['that is no JSON', '{"a": 1,\n "b": }', /config\.json is not valid JSON: (.|\n)*\(line 2, column 7\)$/],
    ['that is no object', '[1]', /config\.json: must hold a JSON object, but holds a list$/],
    [
      'without a class',
      '{"sample_size": 8}',
      /config\.json: names no class: it needs "_class_name", or .* UNet2DModel,/,
    ],
    [
      'of an unknown class',
      '{"_class_name": "UNet3D"}',
      /config\.json: the class "UNet3D" is not known here; known are /,
    ],
    [
      'that asks for too much',
      '{"_class_name": "UNet2DModel", "wings": 2}',
      /config\.json: UNet2DModel: this configuration cannot be used:\n {2}wings: is not known here/,
    ],
  ])('%s are refused', async (_, text, message) => {
    await writeFile(at('config.json'), text);
    expect(await messageOf(loadModelFolder(folder))).toMatch(message);
  });

  test('that do not fit the parameters are not saved', async () => {
    const message = await messageOf(
      saveModelFolder(folder, config, { first: filled(1).first, third: filled(1).second.weight }, { model: small }),
    );
    expect(message).toBe(`saveModelFolder: these are not the parameters of this model:
  missing (2):
    second.weight [1, 3]
    second.bias [1]
  unexpected (1):
    third [1, 3]`);
    expect(await list()).toEqual([]);
    expect(await messageOf(saveModelFolder(folder, {}, filled(1)))).toContain('the configuration: names no class');
  });
});

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
    expect(await messageOf(load())).toBe(
      `${folder}: there is none of ${weightsName}, ${indexName}; it holds no weights`,
    );
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
      `${folder}: there are both ${weightsName} and ${indexName}; which of them is right? Remove the other`,
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
    await saveModelFolder(folder, config, params, { model: small });
    const { parameters } = await loadModelFolder(folder, { model: small });
    expect(await readStorage(parameters.first.weight)).toEqual(bits);
  });
});

describe('folders', () => {
  test('that are not there, or hold nothing, are reported', async () => {
    expect(await messageOf(loadModelFolder(at('no')))).toBe(`cannot open ${at('no')}: there is no such file or folder`);
    expect(await messageOf(loadModelFolder(folder))).toBe(`${folder}: there is no config.json; it holds nothing`);
    await cp(golden('sd15'), at('unet'), { recursive: true });
    expect(await messageOf(loadModelFolder(folder))).toBe(`${folder}: there is no config.json; it holds unet`);
  });

  test('are made', async () => {
    await saveModelFolder(at('a', 'b'), config, filled(3), { model: small });
    expect(await list(at('a', 'b'))).toEqual(['config.json', weightsName]);
  });

  test('that cannot be written to are reported', async () => {
    await writeFile(at('file'), '');
    const into = (path: string) => messageOf(saveModelFolder(path, config, filled(3), { model: small }));
    expect(await into(at('file'))).toMatch(/^cannot write .*file: /);
    expect(await into(at('file', 'sub'))).toMatch(/^cannot write .*sub: a part of the path is not a folder$/);
    await mkdir(at('locked'));
    await chmod(at('locked'), 0o555);
    // Who may do everything may also write there.
    if (process.getuid?.() === 0)
      console.log('as root, folders cannot be locked: that they are reported is not tested');
    else expect(await into(at('locked'))).toBe(`cannot write ${at('locked')}: permission is denied`);
  });

  test('stay as they are where the disk is full, or a tensor is gone', async () => {
    await save(1, { maxShardBytes: 24 });
    const before = await list();
    const handle = await openFile(folder, 'r');
    await handle.close();
    const methods = Object.getPrototypeOf(handle) as { writeFile: (...args: unknown[]) => Promise<void> };
    const write = methods.writeFile;
    let left = 3;
    vi.spyOn(methods, 'writeFile').mockImplementation(function (this: unknown, ...args) {
      left -= 1;
      return left > 0
        ? Reflect.apply(write, this, args)
        : Promise.reject(Object.assign(new Error(), { code: 'ENOSPC' }));
    });
    expect(await messageOf(save(2, { maxShardBytes: 24 }))).toMatch(/^cannot write .*: the disk is full$/);
    vi.restoreAllMocks();
    expect(await list()).toEqual(before);
    expect(await valuesIn((await load()).parameters)).toEqual([1]);
  });
});
