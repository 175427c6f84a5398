import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePrompts, kohyaLoraTensors } from 'diffusion-dpo/diffusion';
import { loadPipelineFolder, openPipelineFolder, savePipelineFolder } from 'diffusion-dpo/diffusion/node';
import { encodePng } from 'diffusion-dpo/dpo';
import { initLora, loraTensors } from 'diffusion-dpo/nn';
import { key, mapTree, openDevice, random, read, setDefaultDevice } from 'diffusion-dpo/tensor';
import { saveSafetensors } from 'diffusion-dpo/tensor/node';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { runProgram } from '../../../dpo/cli/program.node.ts';
import { openSampled } from '../../../dpo/train/openSampled.node.ts';
import type { UNetParams } from '../../../dpo/train/runPlan.ts';
import { isDistilled, samplingDefaults } from '../../../dpo/train/samplingDefaults.ts';
import { tinyLatentConfigs, writeTinyLatents } from '../../diffusion/pipeline/tinyLatents.ts';

const device = await openDevice('wasm', { threads: 1 });
setDefaultDevice(device);
// Each command listens for signals.
process.setMaxListeners(0);
let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sample-latents-'));
  await writeTinyLatents(at('sd15'), 'sd15');
  await writeTinyLatents(at('sdxl'), 'sdxl');
  const values = new Uint8Array(await read(random.randint(key(7), [17 * 26 * 3], 0, 256)));
  await writeFile(at('image.png'), encodePng({ height: 17, width: 26, data: values }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let files = 0;
/** Runs `sample` in this process: the PNG file that it wrote, what it said, and whether it failed. */
async function drawn(model: string, ...flags: string[]) {
  files += 1;
  const output = at(`${files}.png`);
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const usual = { '--size': '16', '--prompt': 'a red square' };
  const unset = Object.entries(usual).filter(
    ([flag]) => !flags.includes(flag) && !(flag === '--prompt' && flags.includes('--captions')),
  );
  await runProgram([
    ...['sample', '--model', at(model), '--output', output, '--device', 'wasm', '--sampling-steps', '3'],
    ...[...unset.flat(), ...flags],
  ]);
  const text = said.mock.calls.map((call) => call.join(' ')).join('\n');
  said.mockRestore();
  const hasFailed = process.exitCode === 1;
  process.exitCode = undefined;
  return { hasFailed, said: text, png: hasFailed ? undefined : decode(await readFile(output)) };
}

const pixels = async (model: string, ...flags: string[]): Promise<Uint8Array> => {
  const { png, said } = await drawn(model, ...flags);
  if (png === undefined) throw new Error(said);
  return png.data as Uint8Array;
};

test('each option of sampling changes the image, and the same options give the same one', async () => {
  const plain = await pixels('sd15');
  expect(await pixels('sd15')).toEqual(plain);
  // The defaults of Stable Diffusion.
  expect(await pixels('sd15', '--guidance', '7.5', '--sample-batch-size', '1', '--zoom', '4')).toEqual(plain);
  const changes = [
    ['--guidance', '2'],
    ['--guidance-rescale', '0.7'],
    ['--negative', 'a green dot'],
    ['--clip-skip', '1'],
    ['--sampler', 'EulerDiscreteScheduler'],
    ['--image', at('image.png')],
    ['--storage', 'bf16'],
    ['--seed', '1'],
  ];
  for (const change of changes) expect(await pixels('sd15', ...change), change[0]).not.toEqual(plain);
  const begun = await pixels('sd15', '--image', at('image.png'));
  expect(await pixels('sd15', '--image', at('image.png'), '--strength', '0.8')).toEqual(begun);
  expect(await pixels('sd15', '--image', at('image.png'), '--strength', '0.4')).not.toEqual(begun);
});

test('negative prompts are one for all captions, or one for each', async () => {
  const two = ['--captions', 'a red square', 'a blue square', '--columns', '2', '--zoom', '1'];
  const [common, each] = [
    await pixels('sd15', ...two, '--negative', 'a green dot'),
    await pixels('sd15', ...two, '--negative', 'a green dot', 'a red square'),
  ];
  // Images of 16 × 16 pixels, side by side with gaps of 4.
  const cell = (data: Uint8Array, i: number) =>
    Array.from({ length: 16 }, (_, y) => {
      const start = 3 * ((4 + y) * 44 + 4 + 20 * i);
      return [...data.subarray(start, start + 48)];
    });
  expect(cell(each, 0)).toEqual(cell(common, 0));
  expect(cell(each, 1)).not.toEqual(cell(common, 1));
  const { said } = await drawn('sd15', ...two, '--negative', 'a', 'b', 'c');
  expect(said).toContain('there are 2 captions and 3 negative prompts');
});

test('an image begins at its own size cut to whole latents, and a size resizes it', async () => {
  const own = await drawn('sd15', '--size', 'null', '--zoom', '1', '--image', at('image.png'));
  expect([own.png?.height, own.png?.width]).toEqual([16, 24]);
  const sized = await drawn('sd15', '--size', '[24, 16]', '--zoom', '1', '--image', at('image.png'));
  expect([sized.png?.height, sized.png?.width]).toEqual([24, 16]);
});

test('a PNG file says how its image was drawn', async () => {
  const { png } = await drawn('sd15', '--prompt', 'a “red” square', '--negative', 'a dot', '--seed', '5');
  expect(png?.text.parameters).toBe(
    'a \\u201cred\\u201d square\nNegative prompt: a dot\n' +
      'Steps: 3, Sampler: PNDMScheduler, CFG scale: 7.5, Seed: 5, Size: 16x16, Model: sd15',
  );
  expect(png?.text.Software).toMatch(/^diffusion-dpo \d/);
  const steps = ['--sampling-steps', '4'];
  const other = await drawn('sdxl', ...steps, '--size', '72', '--tile-size', '64', '--image', at('image.png'));
  expect(other.png?.text.parameters).toMatch(
    /CFG scale: 5, Seed: 0, Size: 72x72, Model: sdxl, Init image: image\.png, Denoising strength: 0\.3, VAE tiles: 64$/,
  );
  const whole = await drawn('sdxl', ...steps, '--size', '72', '--image', at('image.png'));
  expect(whole.png?.text.parameters).not.toContain('VAE tiles');
  expect(whole.png?.data).not.toEqual(other.png?.data);
});

test('adapters are added with their scales, several at once, and named in the PNG file', async () => {
  const source = await openPipelineFolder(at('sd15'));
  const unet = (await source.loadPart('unet')) as UNetParams;
  const text = await source.loadPart('text_encoder');
  const filled = (params: unknown) =>
    mapTree(initLora(params, key(0), { rank: 1, targets: ['**.to_q', '**.q_proj'] }), ({ shape }) =>
      random.normal(key(3), shape),
    );
  await saveSafetensors(at('unet.safetensors'), loraTensors({ unet: filled(unet) }));
  const kohya = kohyaLoraTensors(source.config, { text_encoder: filled(text) });
  await saveSafetensors(at('text.safetensors'), kohya);
  const [unetLora, textLora] = [at('unet.safetensors'), at('text.safetensors')];
  const plain = await pixels('sd15');
  expect(await pixels('sd15', '--lora', `${unetLora}:0`)).toEqual(plain);
  const one = await pixels('sd15', '--lora', unetLora);
  expect(one).not.toEqual(plain);
  expect(await pixels('sd15', '--lora', `${unetLora}:0.5`)).not.toEqual(one);
  const both = await drawn('sd15', '--lora', unetLora, `${textLora}:0.5`);
  expect(both.png?.data).not.toEqual(one);
  expect(both.png?.text.parameters).toContain('Lora: unet.safetensors text.safetensors:0.5');
});

test('what cannot be sampled with is refused, with the way out', async () => {
  const sampler = await drawn('sd15', '--sampler', 'UniPCMultistepScheduler');
  expect(sampler.said).toMatch(/no sampler "UniPCMultistepScheduler"; choose one with --sampler: DDPMScheduler/);
  const flow = await drawn('sd15', '--sampler', 'FlowMatchEulerDiscreteScheduler');
  expect(flow.said).toMatch(/predicts as epsilon .* needs flow_prediction/);
  expect((await drawn('sd15', '--strength', '0.1', '--image', at('image.png'))).said).toContain('strength must be');
});

test('a scheduler that nothing samples with is passed over where another sampler is chosen', async () => {
  const pipeline = await loadPipelineFolder(at('sd15'));
  const scheduler = { ...pipeline.scheduler, _class_name: 'UniPCMultistepScheduler', solver_order: 2 };
  await savePipelineFolder(at('unipc'), { ...pipeline, scheduler });
  const { said } = await drawn('unipc');
  expect(said).toMatch(/unipc: there is no sampler "UniPCMultistepScheduler", which its scheduler_config\.json names/);
  expect(await pixels('unipc', '--sampler', 'PNDMScheduler')).toEqual(await pixels('sd15'));
});

describe('the dtype that weights are held in', () => {
  const { abilities } = device;
  const dtypesOf = async (model: string, storage: 'auto' | 'f32' | 'f16' | 'bf16', limit?: number) => {
    const notes: string[] = [];
    if (limit !== undefined) Object.assign(device, { abilities: { features: [], limits: { memory: limit } } });
    const pipeline = await openSampled(at(model), { device, storage, onNote: (note) => notes.push(note) });
    Object.assign(device, { abilities });
    const dtype = await pipeline.stages?.('denoising', async ({ params }) => params.unet.conv_in.weight.dtype);
    return { dtype, notes };
  };

  test('is that of the files, unless another is asked for', async () => {
    const pipeline = await loadPipelineFolder(at('sd15'));
    await savePipelineFolder(at('halves'), pipeline, { dtype: 'f16' });
    expect(await dtypesOf('halves', 'auto')).toEqual({ dtype: 'f16', notes: [] });
    expect(await dtypesOf('sd15', 'auto')).toEqual({ dtype: 'f32', notes: [] });
    expect(await dtypesOf('halves', 'f32')).toEqual({ dtype: 'f32', notes: [] });
    expect(await dtypesOf('sd15', 'f16')).toEqual({ dtype: 'f16', notes: [] });
  });

  test('is bf16 where f32 would not fit, which is said once', async () => {
    const { dtype, notes } = await dtypesOf('sd15', 'auto', 20_000);
    expect(dtype).toBe('bf16');
    expect(notes).toEqual([expect.stringMatching(/sd15: weights are held in bf16, since the (unet|vae) takes/)]);
    expect(await dtypesOf('halves', 'auto', 20_000)).toEqual({ dtype: 'f16', notes: [] });
  });
});

test('defaults follow the kind of the pipeline', () => {
  const { sd15, sdxl } = tinyLatentConfigs;
  const turbo = { ...sdxl.scheduler, _class_name: 'EulerAncestralDiscreteScheduler', timestep_spacing: 'trailing' };
  expect(samplingDefaults(sd15)).toEqual({ guidance: 7.5, sampleBatchSize: 1, strength: 0.8 });
  expect(samplingDefaults(sdxl)).toEqual({ guidance: 5, sampleBatchSize: 1, strength: 0.3 });
  expect(samplingDefaults({ ...sdxl, scheduler: turbo }).guidance).toBe(0);
  expect(isDistilled({ scheduler: { ...turbo, rescale_betas_zero_snr: true } })).toBe(false);
  const { vae: _, ...onPixels } = sd15.config;
  expect(samplingDefaults({ ...sd15, config: onPixels })).toEqual({ guidance: 3, sampleBatchSize: 64, strength: 0.8 });
});

test('halves of the text encoder are widened: its states are in f32', async () => {
  const source = await openPipelineFolder(at('sd15'));
  const { model, tokenizer } = await loadPipelineFolder(at('sd15'));
  const params = { text_encoder: await source.loadPart('text_encoder', { dtype: 'bf16' }) } as never;
  const { context } = encodePrompts(
    { model, tokenizer, params },
    { prompts: ['a dot'], size: [16, 16], isGuided: false },
  );
  expect(context?.dtype).toBe('f32');
  expect((await read(context as never)).every(Number.isFinite)).toBe(true);
});
