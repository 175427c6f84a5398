import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPipelineFolder } from 'diffusion-dpo/diffusion/node';
import { initLora, loraTensors } from 'diffusion-dpo/nn';
import { flattenTree, full, key, mapTree, openDevice, read, setDefaultDevice } from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { decode } from 'fast-png';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runProgram } from '../../../dpo/cli/program.node.ts';
import { openChecked } from '../../../dpo/train/openChecked.node.ts';
import type { UNetParams } from '../../../dpo/train/runPlan.ts';
import { type TinyLatentName, tinyLatentConfigs, writeTinyLatents } from '../../diffusion/pipeline/tinyLatents.ts';

setDefaultDevice(await openDevice('wasm', { threads: 1 }));
// Each command listens for signals.
process.setMaxListeners(0);
const names = Object.keys(tinyLatentConfigs) as TinyLatentName[];

let folder: string;
const at = (...parts: string[]): string => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-'));
  for (const name of names) await writeTinyLatents(at(name), name);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs `convert` in this process: what it said, and whether it failed. */
async function convert(model: string, output: string, ...flags: string[]) {
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  await runProgram(['convert', '--model', at(model), '--output', at(output), ...flags]);
  const text = said.mock.calls.map((call) => call.join(' ')).join('\n');
  said.mockRestore();
  const hasFailed = process.exitCode === 1;
  process.exitCode = undefined;
  return { hasFailed, said: text };
}

/** The bytes of every file of a folder, by path. */
async function filesOf(name: string): Promise<Map<string, Buffer>> {
  const paths = (await readdir(at(name), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const files = await Promise.all(
    paths.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(at(name).length), await readFile(path)] as const;
    }),
  );
  return new Map(files.sort(([a], [b]) => (a < b ? -1 : 1)));
}

test.each(names)('%s is written byte for byte as it was where nothing is asked for', async (name) => {
  expect(await convert(name, `${name}-same`)).toMatchObject({ hasFailed: false });
  expect(await filesOf(`${name}-same`)).toEqual(await filesOf(name));
});

test('weights are written in another dtype, rounded once, and back', async () => {
  await convert('sd15', 'halves', '--dtype', 'bf16');
  const [own, halves] = await Promise.all(
    ['sd15', 'halves'].map(async (name) => flattenTree(await (await openPipelineFolder(at(name))).loadPart('vae'))),
  );
  expect(halves?.map(({ path }) => path)).toEqual(own?.map(({ path }) => path));
  for (const [i, { tensor }] of (own ?? []).entries()) {
    const half = halves?.[i]?.tensor;
    expect(half?.dtype).toBe('bf16');
    expect(await read(half ?? tensor)).toEqual(await read(tensor.cast('bf16')));
  }
  await convert('halves', 'widened', '--dtype', 'f32');
  await convert('widened', 'again', '--dtype', 'bf16');
  expect(await filesOf('again')).toEqual(await filesOf('halves'));
});

test('large models are cut into shards, and put together again', async () => {
  await convert('sdxl', 'shards', '--max-shard-bytes', '20000');
  const files = await readdir(at('shards', 'unet'));
  expect(files).toContain('diffusion_pytorch_model.safetensors.index.json');
  expect(files.filter((file) => /-of-\d+\.safetensors$/.test(file)).length).toBeGreaterThan(5);
  await convert('shards', 'whole');
  expect(await filesOf('whole')).toEqual(await filesOf('sdxl'));
});

test('adapters are merged into the UNet alone', async () => {
  const source = await openPipelineFolder(at('sd15'));
  const unet = (await source.loadPart('unet')) as UNetParams;
  const adapters = mapTree(initLora(unet, key(0), { rank: 1 }), ({ shape }) => full(shape, 0.25));
  await saveSafetensors(at('lora.safetensors'), loraTensors({ unet: adapters }));
  await convert('sd15', 'merged', '--lora', at('lora.safetensors'));
  const [before, after] = [await filesOf('sd15'), await filesOf('merged')];
  const changed = [...before.keys()].filter((path) => !before.get(path)?.equals(after.get(path) ?? Buffer.alloc(0)));
  expect(changed).toEqual([join('/', 'unet', 'diffusion_pytorch_model.safetensors')]);
  const merged = (await (
    await openChecked(at('sd15'), { loras: [at('lora.safetensors')] })
  ).loadPart('unet')) as unknown;
  await using file = await openSafetensorsFile(at('merged', 'unet', 'diffusion_pytorch_model.safetensors'));
  const { path, tensor } = flattenTree(merged).find(({ path }) => path.endsWith('to_q.weight')) ?? {};
  const written = await read(await file.read(path ?? ''));
  expect(written).toEqual(await read(tensor ?? full([1], 0)));
  // 1 · up · down with up = down = 1/4, at rank 1.
  const own = flattenTree(unet).find((leaf) => leaf.path === path)?.tensor;
  expect(
    await read(
      full(own?.shape ?? [], 0)
        .add(own ?? 0)
        .add(1 / 16),
    ),
  ).toEqual(written);
});

test.each(names)('%s becomes a single file and again the folder, byte for byte', async (name) => {
  expect((await convert(name, `${name}.safetensors`)).said).toMatch(/the pipeline is in .*\.safetensors/);
  // Widths as these are in no table, so the folder says what the file is.
  const told = ['--model-config', at(name)];
  expect((await convert(`${name}.safetensors`, `${name}-unknown`)).said).toMatch(/--model-config FOLDER/);
  expect(await convert(`${name}.safetensors`, `${name}-back`, ...told)).toMatchObject({ hasFailed: false });
  expect(await filesOf(`${name}-back`)).toEqual(await filesOf(name));
  const drawn = async (output: string, model: string, ...flags: string[]) => {
    const shown = ['--captions', 'a red square', '--size', '16', '--sampling-steps', '2', '--device', 'wasm'];
    await runProgram(['sample', '--model', at(model), '--output', at(output), ...shown, ...flags]);
    return decode(await readFile(at(output))).data;
  };
  expect(await drawn('file.png', `${name}.safetensors`, ...told)).toEqual(await drawn('folder.png', name));
  expect((await convert(name, `${name}.safetensors`)).said).toMatch(/is there already; name another file/);
});

test('a bare UNet and another autoencoder take the place of the own ones', async () => {
  await writeTinyLatents(at('other'), 'sd15', 1);
  await convert('sd15', 'replaced', '--unet', at('other', 'unet'), '--vae', at('other'));
  const [own, other, replaced] = [await filesOf('sd15'), await filesOf('other'), await filesOf('replaced')];
  for (const [path, bytes] of replaced)
    expect(bytes.equals((/^.(unet|vae)./.test(path) ? other : own).get(path) ?? Buffer.alloc(0)), path).toBe(true);
});

test('a folder that holds a pipeline is not written over, and a broken one is refused before anything is written', async () => {
  const { said } = await convert('sd15', 'sdxl');
  expect(said).toMatch(/sdxl holds a pipeline already; name another folder, or remove it/);
  await cp(at('sd15'), at('broken'), { recursive: true });
  await rm(at('broken', 'unet', 'config.json'));
  expect((await convert('broken', 'nowhere')).said).toMatch(/cannot read .*broken.unet.config\.json/);
  expect(await readdir(folder)).not.toContain('nowhere');
});
