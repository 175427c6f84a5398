import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluateKeys, readSettings, sampleImages } from 'diffusion-dpo/dpo';
import { evaluate, loadTuned } from 'diffusion-dpo/dpo/node';
import { initLora, loraTensors } from 'diffusion-dpo/nn';
import { full, key, mapTree, openDevice, realize, setDefaultDevice, type Tensor } from 'diffusion-dpo/tensor';
import { saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runProgram } from '../../../dpo/cli/program.node.ts';
import { writeTinyPairs, writeTinyPipeline } from '../tinyPipeline.ts';

setDefaultDevice(await openDevice('wasm'));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'samples-'));
  await writeTinyPipeline(join(folder, 'base'));
  await writeTinyPipeline(join(folder, 'broken'));
  await writeTinyPairs(join(folder, 'pairs.parquet'));
  // One number of one tensor.
  const file = join(folder, 'broken', 'unet', 'diffusion_pytorch_model.safetensors');
  const bytes = await readFile(file);
  bytes.writeFloatLE(Number.NaN, bytes.length - 4);
  await writeFile(file, bytes);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const options = { captions: ['a', 'b'], seed: 0, size: [4, 4], steps: 1, guidance: 1 } as const;

test('weights that are not finite are refused when they are loaded, by name', async () => {
  await expect(loadTuned(join(folder, 'broken'), null)).rejects.toThrow(
    /broken: there are weights that are NaN or infinite.* begin with: unet\.\S+$/,
  );
  expect(await loadTuned(join(folder, 'base'), null)).toBeDefined();
});

test('adapters that are not finite are refused, by the name of their file', async () => {
  const { params } = await loadTuned(join(folder, 'base'), null);
  const adapters = mapTree(initLora(params.unet, key(0), { rank: 1 }), ({ shape }) => full(shape, Number.NaN));
  const path = join(folder, 'lora.safetensors');
  await saveSafetensors(path, loraTensors({ unet: adapters }));
  await expect(loadTuned(join(folder, 'base'), path)).rejects.toThrow(
    /lora\.safetensors: there are weights that are NaN or infinite/,
  );
});

test('images of weights that are not finite are an error, not blank', async () => {
  const pipeline = await loadTuned(join(folder, 'base'), null);
  const { weight, bias } = pipeline.params.unet.conv_out as { weight: Tensor; bias: Tensor };
  const conv_out = { weight, bias: await realize(full(bias.shape, Number.NaN)) };
  const params = { ...pipeline.params, unet: { ...pipeline.params.unet, conv_out } };
  await expect(sampleImages({ ...pipeline, params }, options)).rejects.toThrow('2 of 2 images hold NaN or infinity');
});

test('sample and evaluate fail at such weights, and draw nothing', async () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const output = join(folder, 'grid.png');
  await runProgram([
    'sample',
    '--model',
    join(folder, 'broken'),
    '--captions',
    'a',
    '--device',
    'wasm',
    '--output',
    output,
  ]);
  expect(said.mock.calls.join('\n')).toMatch(/^error: .*broken: there are weights that are NaN or infinite/m);
  said.mockRestore();
  expect(process.exitCode).toBe(1);
  process.exitCode = undefined;
  const pairs = join(folder, 'pairs.parquet');
  const settings = {
    ...{ base: join(folder, 'base'), tuned: join(folder, 'broken'), pairs, trainPairs: pairs },
    ...{ output: join(folder, 'evaluated'), device: 'wasm' },
  };
  await expect(evaluate(readSettings('test', settings, evaluateKeys))).rejects.toThrow(
    'weights that are NaN or infinite',
  );
  expect(await readdir(folder)).not.toContain('grid.png');
});

test('drawing many small images lets signals and timers through', async () => {
  const pipeline = await loadTuned(join(folder, 'base'), null);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('heard')), 60);
  const captions = Array.from({ length: 2000 }, () => 'a');
  const drawn = sampleImages(pipeline, { ...options, captions, batchSize: 1, steps: 50, signal: controller.signal });
  await expect(drawn).rejects.toThrow('heard');
});
