import { chmod, cp, mkdir, open as openFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { grad } from 'diffusion-dpo/autograd';
import { clipTextModel, unet2dConditionModel, unet2dModel } from 'diffusion-dpo/diffusion';
import { loadModelFolder, saveModelFolder } from 'diffusion-dpo/diffusion/node';
import { adamW } from 'diffusion-dpo/nn';
import {
  flattenTree,
  key,
  ones,
  openDevice,
  read,
  readStorage,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { config, filled, messageOf, small, useTemporaryFolder, valuesIn, weightsName } from './smallModelFolder.ts';

setDefaultDevice(await openDevice('reference'));

const golden = (name: string) => fileURLToPath(new URL(`../../golden/unet/${name}`, import.meta.url));
const { at, list, save, load } = useTemporaryFolder();
afterEach(() => {
  vi.restoreAllMocks();
});

describe('published folders', () => {
  test.each(['ddpm', 'sd15', 'sdxl'])('%s, loaded and saved, has the same bytes', async (name) => {
    const { config, parameters } = await loadModelFolder(golden(name));
    await saveModelFolder(at(), config, parameters);
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
    await saveModelFolder(at(), config, trained);
    const headerOf = async (path: string) => {
      const bytes = await readFile(path);
      return bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE(0))).toString('latin1');
    };
    expect(await headerOf(at(weightsName))).toBe(await headerOf(join(golden('sd15'), weightsName)));
    const again = await loadModelFolder(at());
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
    await saveModelFolder(at(), text, parameters);
    expect(await list()).toEqual(['config.json', 'model.safetensors']);
    const tensors = new Map(flattenTree(parameters).map(({ path, tensor }) => [path, tensor]));
    tensors.set('text_model.embeddings.position_ids', tensor([[0, 1, 2, 3, 4]], { dtype: 'i32' }));
    await saveSafetensors(at('model.safetensors'), tensors);
    const loaded = await loadModelFolder(at());
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
    await saveModelFolder(at(), config, unet2dModel(config).init(key(0)));
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
    expect((await loadModelFolder(at())).config).toEqual(config);
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
    expect(await messageOf(loadModelFolder(at()))).toMatch(message);
  });

  test('that do not fit the parameters are not saved', async () => {
    const message = await messageOf(
      saveModelFolder(at(), config, { first: filled(1).first, third: filled(1).second.weight }, { model: small }),
    );
    expect(message).toBe(`saveModelFolder: these are not the parameters of this model:
  missing (2):
    second.weight [1, 3]
    second.bias [1]
  unexpected (1):
    third [1, 3]`);
    expect(await list()).toEqual([]);
    expect(await messageOf(saveModelFolder(at(), {}, filled(1)))).toContain('the configuration: names no class');
  });
});

describe('folders', () => {
  test('that are not there, or hold nothing, are reported', async () => {
    expect(await messageOf(loadModelFolder(at('no')))).toBe(`cannot open ${at('no')}: there is no such file or folder`);
    expect(await messageOf(loadModelFolder(at()))).toBe(`${at()}: there is no config.json; it holds nothing`);
    await cp(golden('sd15'), at('unet'), { recursive: true });
    expect(await messageOf(loadModelFolder(at()))).toBe(`${at()}: there is no config.json; it holds unet`);
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
    const handle = await openFile(at(), 'r');
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
