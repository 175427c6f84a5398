import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clipTextModel, loadParameters, oldAttentionNames, unet2dModel } from 'diffusion-dpo/diffusion';
import { loadModelFolder, loadPipelineFolder } from 'diffusion-dpo/diffusion/node';
import {
  flattenTree,
  fromBytes,
  ones,
  openDevice,
  openSafetensors,
  read,
  setDefaultDevice,
  type Tensor,
  tensor,
  toSafetensorsBytes,
} from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterAll, describe, expect, test } from 'vitest';
import { writeTinyPipeline } from '../../dpo/tinyPipeline.ts';

setDefaultDevice(await openDevice('reference'));

const folder = await mkdtemp(join(tmpdir(), 'published-'));
afterAll(() => rm(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);
await writeTinyPipeline(at('tiny'));
const ddpm = fileURLToPath(new URL('../../golden/unet/ddpm', import.meta.url));
const weightsName = 'diffusion_pytorch_model.safetensors';
const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 77\n';

/** A folder like another, with its tensors changed. */
async function changed(from: string, to: string, change: (tensors: Map<string, Tensor>) => Map<string, Tensor>) {
  await cp(from, to, { recursive: true });
  const file = to.endsWith('text_encoder') ? 'model.safetensors' : weightsName;
  await using reader = await openSafetensorsFile(join(from, file));
  await saveSafetensors(join(to, file), change(await reader.readAll()));
}

async function valuesOf(parameters: unknown): Promise<Record<string, number[]>> {
  const entries = flattenTree(parameters).map(async ({ path, tensor }) => [path, Array.from(await read(tensor))]);
  return Object.fromEntries(await Promise.all(entries));
}

test('text encoders may have position_ids, whatever makes the model', async () => {
  await cp(at('tiny'), at('ids'), { recursive: true });
  await changed(at('tiny', 'text_encoder'), at('ids', 'text_encoder'), (tensors) =>
    tensors.set('text_model.embeddings.position_ids', tensor([[0, 1, 2, 3, 4, 5, 6, 7]], { dtype: 'i32' })),
  );
  const { params } = await loadPipelineFolder(at('ids'));
  expect(params.text_encoder.text_model.embeddings).not.toHaveProperty('position_ids');
  for (const model of [clipTextModel, undefined, (json: unknown) => clipTextModel(json)])
    await loadModelFolder(at('ids', 'text_encoder'), { ...(model && { model }) });
  // Also where the configuration names no class, but the function that makes the model is known.
  const path = at('ids', 'text_encoder', 'config.json');
  const { architectures: _, ...config } = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify(config));
  await loadModelFolder(at('ids', 'text_encoder'), { model: clipTextModel, stem: 'model' });
});

describe('the names that projections of attention had', () => {
  const olden = (name: string): string =>
    name.includes('.attentions.')
      ? name
          .replace('.to_q.', '.query.')
          .replace('.to_k.', '.key.')
          .replace('.to_v.', '.value.')
          .replace('.to_out.0.', '.proj_attn.')
      : name;

  test('are read, and give the same parameters', async () => {
    await changed(ddpm, at('old'), (tensors) => new Map([...tensors].map(([name, one]) => [olden(name), one])));
    await using reader = await openSafetensorsFile(at('old', weightsName));
    for (const old of ['query', 'key', 'value', 'proj_attn'])
      for (const part of ['weight', 'bias']) expect(reader.names).toContain(`mid_block.attentions.0.${old}.${part}`);
    const expected = await valuesOf((await loadModelFolder(ddpm)).parameters);
    for (const options of [{}, { model: unet2dModel }])
      expect(await valuesOf((await loadModelFolder(at('old'), options)).parameters)).toEqual(expected);
  });

  test('are not read beside those of today, and are told of as the file has them', async () => {
    await changed(ddpm, at('both'), (tensors) =>
      tensors.set('mid_block.attentions.0.query.bias', tensors.get('mid_block.attentions.0.to_q.bias') as Tensor),
    );
    await expect(loadModelFolder(at('both'))).rejects.toThrow(
      /unexpected \(1\):\n +mid_block\.attentions\.0\.query\.bias/,
    );
  });

  test('can be read for any model', async () => {
    const bytes = await toSafetensorsBytes({ 'a.proj_attn.bias': ones([2]) });
    const reader = await openSafetensors(fromBytes(bytes));
    const template = { a: { to_out: [{ bias: ones([2]).mul(3) }] } };
    expect(await valuesOf(await loadParameters(template, reader, { oldNames: oldAttentionNames }))).toEqual({
      'a.to_out.0.bias': [1, 1],
    });
    await expect(loadParameters(template, reader)).rejects.toThrow('a.proj_attn.bias [2]');
  });

  test('are those of projections alone', () => {
    expect(oldAttentionNames('decoder.mid_block.attentions.0.proj_attn.weight')).toBe(
      'decoder.mid_block.attentions.0.to_out.0.weight',
    );
    for (const name of ['query.weight', 'a.key.value', 'a.keys.weight', 'a.to_q.weight'])
      expect(oldAttentionNames(name)).toBeUndefined();
  });
});

describe('weights of one dtype', () => {
  const fp16 = 'diffusion_pytorch_model.fp16.safetensors';

  test('are loaded where there are no others', async () => {
    await cp(at('tiny'), at('halves'), { recursive: true });
    await rename(at('halves', 'unet', weightsName), at('halves', 'unet', fp16));
    await rename(
      at('halves', 'text_encoder', 'model.safetensors'),
      at('halves', 'text_encoder', 'model.fp16.safetensors'),
    );
    const { params } = await loadPipelineFolder(at('halves'));
    expect(await valuesOf(params)).toEqual(await valuesOf((await loadPipelineFolder(at('tiny'))).params));
    await writeFile(at('halves', 'unet', 'diffusion_pytorch_model.fp16.bin'), '');
    await loadPipelineFolder(at('halves'));
  });

  test('are not chosen where there is another dtype, and not in place of a variant that is asked for', async () => {
    const unet = at('two', 'unet');
    await cp(at('tiny', 'unet'), unet, { recursive: true });
    await rename(join(unet, weightsName), join(unet, fp16));
    await expect(loadModelFolder(unet, { variant: 'bf16' })).rejects.toThrow(`it holds only ${fp16}`);
    await cp(join(unet, fp16), join(unet, fp16.replace('fp16', 'bf16')));
    await expect(loadModelFolder(unet)).rejects.toThrow('; give the variant that is meant: fp16 or bf16');
  });
});

test('pointers of Git LFS and pages are named in place of weights, indices and configurations', async () => {
  await cp(at('tiny'), at('pointers'), { recursive: true });
  const unet = at('pointers', 'unet');
  for (const [name, text, message] of [
    [weightsName, pointer, `${weightsName}: this is a Git LFS pointer, which stands for the file of 77 bytes`],
    [weightsName, '<!doctype html>', `${weightsName}: this is an HTML page`],
    ['config.json', pointer, 'config.json: this is a Git LFS pointer'],
    ['config.json', '<html>', 'config.json: this is an HTML page'],
  ] as const) {
    const before = await readFile(join(unet, name));
    await writeFile(join(unet, name), text);
    await expect(loadPipelineFolder(at('pointers'))).rejects.toThrow(message);
    await writeFile(join(unet, name), before);
  }
  await rm(join(unet, weightsName));
  await writeFile(join(unet, `${weightsName}.index.json`), pointer);
  await expect(loadModelFolder(unet)).rejects.toThrow('index.json: the index: this is a Git LFS pointer');
});

test('configurations may have a byte order mark and CRLF; in another encoding they are refused', async () => {
  const unet = at('encodings', 'unet');
  await cp(at('tiny', 'unet'), unet, { recursive: true });
  const path = join(unet, 'config.json');
  const text = await readFile(path, 'utf8');
  await writeFile(path, `\ufeff${text.replaceAll('\n', '\r\n')}`);
  await loadModelFolder(unet);
  await writeFile(path, Buffer.from(`\ufeff${text}`, 'utf16le'));
  await expect(loadModelFolder(unet)).rejects.toThrow('config.json is not UTF-8 but UTF-16');
  await writeFile(path, Buffer.from(text.replace('{', '{"_name": "für alle",'), 'latin1'));
  await expect(loadModelFolder(unet)).rejects.toThrow(
    'config.json is not valid UTF-8: line 1, byte 12 is 0xfc, which looks like Latin-1',
  );
});
