import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadedStages, type PipelinePart } from 'diffusion-dpo/diffusion';
import { loadPipelineFolder, openPipelineFolder, savePipelineFolder } from 'diffusion-dpo/diffusion/node';
import { sampleImages } from 'diffusion-dpo/dpo';
import { flattenTree, key, openDevice, random, read, setDefaultDevice } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TinyLatentName, tinyLatentConfigs, writeTinyLatents } from './tinyLatents.ts';

setDefaultDevice(await openDevice('wasm', { threads: 1 }));
const names = Object.keys(tinyLatentConfigs) as TinyLatentName[];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latents-'));
  for (const name of names) await writeTinyLatents(join(folder, name), name);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const options = { captions: ['a red square', 'a dot'], seed: 3, size: [16, 24], steps: 3, guidance: 4 } as const;

describe.each(names)('a pipeline in the layout of %s', (name) => {
  test('is loaded, drawn from and saved with equal weights', async () => {
    const pipeline = await loadPipelineFolder(at(name));
    const images = await sampleImages(pipeline, options);
    expect(images).toHaveLength(2 * 3 * 16 * 24);
    expect(images.every(Number.isFinite)).toBe(true);
    await savePipelineFolder(at(`${name}-again`), pipeline);
    const again = await loadPipelineFolder(at(`${name}-again`));
    const [before, after] = [flattenTree(pipeline.params), flattenTree(again.params)];
    expect(after.map(({ path }) => path)).toEqual(before.map(({ path }) => path));
    for (const [i, { tensor }] of before.entries())
      expect(await read(after[i]?.tensor ?? tensor)).toEqual(await read(tensor));
    for (const file of ['model_index.json', 'scheduler/scheduler_config.json', 'vae/config.json'])
      expect(await readFile(join(at(`${name}-again`), file), 'utf8')).toBe(
        await readFile(join(at(name), file), 'utf8'),
      );
    expect(await sampleImages(again, options)).toEqual(images);
  });

  test('gives the same images in any batch, and where its stages are loaded one after the other', async () => {
    const source = await openPipelineFolder(at(name));
    const pipeline = await loadPipelineFolder(at(name));
    const images = await sampleImages(pipeline, options);
    // Kernels go by shapes, so another batch may round differently.
    const alone = await sampleImages(pipeline, { ...options, batchSize: 1 });
    expect(Math.max(...alone.map((value, i) => Math.abs(value - (images[i] as number))))).toBeLessThan(1e-4);
    const loaded: string[] = [];
    const load = (part: PipelinePart) => {
      loaded.push(part);
      return source.loadPart(part);
    };
    const { params: _, ...without } = pipeline;
    const stages = loadedStages(without, source.parts, load);
    const none = {} as typeof pipeline.params;
    expect(await sampleImages({ ...pipeline, params: none, stages }, { ...options, batchSize: 1 })).toEqual(alone);
    expect(loaded.at(0)).toBe('text_encoder');
    expect(loaded.slice(-2)).toEqual(['unet', 'vae']);
  });
});

test.each(['sd15', 'sdxl'])('images of %s depend on every option of a prompt', async (name) => {
  const pipeline = await loadPipelineFolder(at(name));
  const one = { ...options, captions: ['a red square'] };
  const images = await sampleImages(pipeline, one);
  const image = random.normal(key(1), [1, 3, 16, 24]);
  const changes = [
    { guidance: 1 },
    { negatives: ['a dot'] },
    { clipSkip: 1 },
    { seed: 4 },
    { rescale: 0.5 },
    { from: { image, strength: 0.7 } },
    { from: { image, strength: 1 } },
  ];
  for (const change of changes)
    expect(await sampleImages(pipeline, { ...one, ...change }), Object.keys(change)[0]).not.toEqual(images);
  // As in diffusers, scales up to 1 are no guidance.
  expect(await sampleImages(pipeline, { ...one, guidance: 0 })).toEqual(
    await sampleImages(pipeline, { ...one, guidance: 1 }),
  );
});

test('a negative prompt that is not given is zeros where the pipeline says so, and the empty prompt elsewhere', async () => {
  const same = async (name: TinyLatentName) => {
    const pipeline = await loadPipelineFolder(at(name));
    const one = { ...options, captions: ['a red square'] };
    const [none, empty] = [
      await sampleImages(pipeline, one),
      await sampleImages(pipeline, { ...one, negatives: [''] }),
    ];
    return Buffer.from(none.buffer).equals(Buffer.from(empty.buffer));
  };
  expect(await same('sdxl')).toBe(false);
  expect(await same('sd15')).toBe(true);
});

test('sides that are no whole latents are refused, and so are steps that strength leaves out', async () => {
  const pipeline = await loadPipelineFolder(at('sd15'));
  await expect(sampleImages(pipeline, { ...options, size: [20, 16] })).rejects.toThrow(
    'a side of 20 pixels is no multiple of 8',
  );
  const image = random.normal(key(1), [1, 3, 16, 24]);
  for (const strength of [0, 0.2, 1.1])
    await expect(sampleImages(pipeline, { ...options, from: { image, strength } })).rejects.toThrow('strength must be');
});

test('parts that nothing uses are passed over, and others are refused by name', async () => {
  const index = join(at('sd15'), 'model_index.json');
  const json = JSON.parse(await readFile(index, 'utf8')) as Record<string, unknown>;
  const write = (changes: object) => writeFile(index, JSON.stringify({ ...json, ...changes }));
  await write({ safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'] });
  expect((await openPipelineFolder(at('sd15'))).passedOver).toEqual(['safety_checker']);
  await write({ controlnet: ['diffusers', 'ControlNetModel'] });
  await expect(openPipelineFolder(at('sd15'))).rejects.toThrow(/model_index\.json: the parts controlnet are not/);
  await write({ vae: ['diffusers', 'VQModel'] });
  const vae = join(at('sd15'), 'vae', 'config.json');
  const config = await readFile(vae, 'utf8');
  await writeFile(vae, config.replace('AutoencoderKL', 'VQModel'));
  await expect(openPipelineFolder(at('sd15'))).rejects.toThrow(/vae.config\.json: the class "VQModel" is not known/);
  await writeFile(vae, config);
  await write({});
});
