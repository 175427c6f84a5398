import { copyFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  loadPipeline,
  type OpenPipelineOptions,
  openPipeline,
  savePipelineFolder,
  saveSingleFile,
  saveSingleFileParts,
  saveTokenizerFolder,
} from 'diffusion-dpo/diffusion/node';
import { sampleImages } from 'diffusion-dpo/dpo';
import { dispose } from 'diffusion-dpo/tensor';
import { openSafetensorsFile } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { narrowPipeline, tokenizer } from './fullLayouts.ts';
import { publishedTensors, writeHollow } from './hollowFiles.ts';
import { narrowOnDisk, valuesOf } from './narrowOnDisk.ts';

const { at, folder, file, own, changed, remove } = await narrowOnDisk();
afterAll(remove);

test('a file is sampled from as its folder is', async () => {
  const options = { captions: ['a red square'], seed: 3, size: [16, 16], steps: 2, guidance: 4 } as const;
  const images = await Promise.all(
    [openPipeline(folder), openPipeline(file, own())].map(async (source) =>
      sampleImages(await loadPipeline(await source), options),
    ),
  );
  expect(images[1]).toEqual(images[0]);
  expect(images[0]?.every(Number.isFinite)).toBe(true);
});

test('a file with the widths of a published model needs no configurations, and has the tokenizer of CLIP', async () => {
  await writeHollow(at('published.safetensors'), publishedTensors('Stable Diffusion XL'));
  const source = await openPipeline(at('published.safetensors'));
  expect(source.parts).toEqual(['text_encoder', 'text_encoder_2', 'unet', 'vae']);
  expect(source.scheduler).toMatchObject({ _class_name: 'EulerDiscreteScheduler', prediction_type: 'epsilon' });
  expect(source.config.vae).toMatchObject({ scaling_factor: 0.13025 });
  expect(source.forceZerosForEmptyPrompt).toBe(true);
  expect([source.tokenizer.padToken, source.tokenizer2?.padToken]).toEqual([undefined, '!']);
  expect(source.tokenizer.vocabulary['<|endoftext|>']).toBe(49_407);
});

describe('the tokenizer', () => {
  test('is that of a folder where one is given, with "!" to fill up for the second text encoder', async () => {
    await saveTokenizerFolder(at('tokenizer'), tokenizer);
    const source = await openPipeline(file, own({ tokenizer: at('tokenizer') }));
    expect(source.tokenizer.merges).toEqual(tokenizer.merges);
    await expect(openPipeline(file, own({ tokenizer: join(folder, 'unet') }))).rejects.toThrow(
      /holds no tokenizer: .*1 text encoder/,
    );
  });

  test('must be the one of the text encoder', async () => {
    await mkdir(at('bare'));
    await savePipelineFolder(at('bare'), await narrowPipeline('Stable Diffusion 1', 'f32'));
    await rm(at('bare/tokenizer'), { recursive: true });
    await expect(openPipeline(file, { modelConfig: at('bare') })).rejects.toThrow(
      /CLIP's tokenizer, which is taken where none is given with --tokenizer FOLDER \(vocab\.json\): the token .* but the text encoder has/,
    );
  });
});

describe('what the network predicts', () => {
  const scheduler = async (path: string, options?: OpenPipelineOptions) =>
    (await openPipeline(path, options)).scheduler;
  const second = () => at('second.safetensors');
  beforeAll(() => writeHollow(second(), publishedTensors('Stable Diffusion 2')));

  test('is asked for by Stable Diffusion 2', async () => {
    await expect(openPipeline(second())).rejects.toThrow(/second\.safetensors: no tensor .* --prediction/);
    const epsilon = await openPipeline(second(), { prediction: 'epsilon' });
    expect(epsilon.scheduler).toMatchObject({ _class_name: 'PNDMScheduler', prediction_type: 'epsilon' });
    expect(epsilon.config.unet.sample_size).toBe(64);
    const v = await openPipeline(second(), { prediction: 'v_prediction' });
    expect(v.scheduler).toMatchObject({ _class_name: 'DDIMScheduler', prediction_type: 'v_prediction' });
    expect(v.config.unet.sample_size).toBe(96);
  });

  test('is told by marker tensors, and so is a schedule that ends with noise alone', async () => {
    const marked = new Map([...publishedTensors('Stable Diffusion XL'), ['v_pred', [0]], ['ztsnr', [0]]] as const);
    await writeHollow(at('marked.safetensors'), marked);
    expect(await scheduler(at('marked.safetensors'))).toMatchObject({
      prediction_type: 'v_prediction',
      rescale_betas_zero_snr: true,
      timestep_spacing: 'trailing',
    });
    await expect(scheduler(at('marked.safetensors'), { prediction: 'epsilon' })).rejects.toThrow(
      'its tensor v_pred says that the network predicts v, and --prediction says epsilon',
    );
  });

  test('stands above the folder of configurations, and is written into files and read again', async () => {
    const asked = { prediction: 'v_prediction', zeroTerminalSnr: true } as const;
    const opened = await openPipeline(file, own(asked));
    await saveSingleFile(await loadPipeline(opened), at('v.safetensors'));
    expect(await scheduler(at('v.safetensors'), own())).toEqual(opened.scheduler);
    expect(opened.scheduler).toMatchObject({
      ...{ _class_name: 'DDIMScheduler', prediction_type: 'v_prediction' },
      ...{ rescale_betas_zero_snr: true, timestep_spacing: 'trailing' },
    });
    const options = { captions: ['a red square'], seed: 3, size: [16, 16], steps: 2, guidance: 4 } as const;
    expect((await sampleImages(await loadPipeline(opened), options)).every(Number.isFinite)).toBe(true);
    // A folder of configurations that says the same is not changed.
    await savePipelineFolder(at('zero'), {
      ...(await loadPipeline(opened)),
      scheduler: { ...opened.scheduler, timestep_spacing: 'linspace' },
    });
    expect((await openPipeline(at('v.safetensors'), { modelConfig: at('zero') })).scheduler.timestep_spacing).toBe(
      'linspace',
    );
    expect((await openPipeline(second(), { zeroTerminalSnr: true })).scheduler).toMatchObject({
      prediction_type: 'v_prediction',
    });
    await expect(openPipeline(second(), { prediction: 'epsilon', zeroTerminalSnr: true })).rejects.toThrow(
      /zero terminal SNR\) predicts v/,
    );
  });
});

describe('an average of the weights', () => {
  test('is read instead of them where it is asked for, and there', async () => {
    const isUNet = (name: string) => name.startsWith('model.diffusion_model.');
    // model_ema.diffusion_modelinput_blocks00weight stands for model.diffusion_model.input_blocks.0.0.weight.
    const emaKey = (name: string) => `model_ema.${name.split('.').slice(1).join('')}`;
    const both = await changed('ema.safetensors', (tensors) => {
      for (const [name, x] of [...tensors]) if (isUNet(name)) tensors.set(emaKey(name), x.mul(2));
    });
    const [plain, average] = await Promise.all([openPipeline(both, own()), openPipeline(both, own({ ema: true }))]);
    expect(plain.passedOver).toEqual(['model_ema']);
    expect(average.passedOver).toEqual([]);
    const [weights, averages] = [await valuesOf(plain, 'unet'), await valuesOf(average, 'unet')];
    expect(averages).toEqual(
      Object.fromEntries(
        Object.entries(weights).map(([name, x]) => [name, Float32Array.from(x as ArrayLike<number>, (v) => 2 * v)]),
      ),
    );
    expect(await valuesOf(average, 'vae')).toEqual(await valuesOf(plain, 'vae'));
    await expect(openPipeline(file, own({ ema: true }))).rejects.toThrow(/has no average of its weights.*--ema/);
  });
});

describe('files that are not read', () => {
  const write = async (name: string, content: string | Uint8Array): Promise<string> => {
    await writeFile(at(name), content);
    return at(name);
  };

  test.each<[string, string, Uint8Array | string, RegExp]>([
    [
      'a pickle',
      'model.ckpt',
      Uint8Array.from([0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9]),
      /model\.ckpt: this is a pickle of PyTorch.*save_file/,
    ],
    [
      'one in an archive',
      'model.pt',
      'PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl',
      /model\.pt: this is a pickle/,
    ],
    ['an archive', 'model.zip', 'PK\x03\x04\x00\x00\x08\x08\x00\x00readme.txt', /this is a ZIP archive/],
    ['GGUF', 'model.gguf', 'GGUF\x03\x00\x00\x00\x00\x00', /this is a GGUF file/],
    [
      'a pointer',
      'lfs.safetensors',
      'version https://git-lfs.github.com/spec/v1\nsize 7\n',
      /this is a Git LFS pointer/,
    ],
    ['a page', 'page.safetensors', '<!doctype html><html>', /this is an HTML page/],
  ])('%s', async (_, name, content, message) => {
    await expect(openPipeline(await write(name, content))).rejects.toThrow(message);
  });

  test('a file that is cut short', async () => {
    await copyFile(file, at('short.safetensors'));
    await truncate(at('short.safetensors'), (await stat(file)).size - 100);
    await expect(openPipeline(at('short.safetensors'), own())).rejects.toThrow(
      /short\.safetensors: .*is the file complete\?/,
    );
  });

  test('weights of 8 bits', async () => {
    await writeHollow(at('fp8.safetensors'), publishedTensors('Stable Diffusion 1'), 'F8_E4M3');
    await expect(openPipeline(at('fp8.safetensors'))).rejects.toThrow(
      /fp8\.safetensors: 1130 of its weights are in F8_E4M3, such as .*F32, F16, BF16/,
    );
  });

  test('a folder of configurations for another number of text encoders, or without what the file has', async () => {
    await savePipelineFolder(at('xl'), await narrowPipeline('Stable Diffusion XL', 'f16'));
    await expect(openPipeline(file, { modelConfig: at('xl') })).rejects.toThrow(
      /sd1\.safetensors: has 1 text encoder\(s\), and .*xl has the configurations of 2/,
    );
    await expect(openPipeline(file, { modelConfig: at('nothing') })).rejects.toThrow(/nothing/);
    await expect(openPipeline(at('nothing.safetensors'))).rejects.toThrow(/nothing\.safetensors/);
  });

  test('folders that are no pipeline are named as what they are', async () => {
    await expect(openPipeline(join(folder, 'unet'))).rejects.toThrow(/folder of a UNet alone: give it with --unet/);
    await expect(openPipeline(join(folder, 'vae'))).rejects.toThrow(
      /folder of an autoencoder alone: give it with --vae/,
    );
    await expect(openPipeline(join(folder, 'text_encoder'))).rejects.toThrow(/folder of a text encoder alone/);
    const holding = async (name: string, ...files: string[]): Promise<string> => {
      await mkdir(at(name));
      for (const one of files) await writeFile(join(at(name), one), '');
      return at(name);
    };
    await expect(openPipeline(await holding('lora', 'pytorch_lora_weights.safetensors'))).rejects.toThrow(/--lora/);
    await expect(openPipeline(await holding('one', 'model.safetensors'))).rejects.toThrow(
      /opened by its own name: .*one.model\.safetensors/,
    );
    await expect(openPipeline(await holding('ckpt', 'model.ckpt'))).rejects.toThrow(/only model\.ckpt: pickles/);
    await mkdir(at('published/unet'), { recursive: true });
    await expect(openPipeline(at('published'))).rejects.toThrow(/a folder unet\/, but no model_index\.json.*--unet/);
    await expect(openPipeline(await holding('none'))).rejects.toThrow(/model_index\.json/);
  });

  test('options that folders have no use for', async () => {
    await expect(openPipeline(folder, { ema: true })).rejects.toThrow(/--ema is for single files/);
    await expect(openPipeline(folder, { tokenizer: at('tokenizer') })).rejects.toThrow(
      /--tokenizer is for single files/,
    );
  });

  test('pipelines that the layout has no place for, when they are saved', async () => {
    const { vae: _, ...pixels } = (await openPipeline(folder)).config;
    const pipeline = await loadPipeline(await openPipeline(folder));
    await expect(saveSingleFile({ ...pipeline, config: pixels }, at('pixels.safetensors'))).rejects.toThrow(
      /this pipeline has none; it is saved as a folder only/,
    );
    const unet = { ...pipeline.config.unet, layers_per_block: [1, 2, 2, 2] };
    await expect(
      saveSingleFile({ ...pipeline, config: { ...pipeline.config, unet } }, at('uneven.safetensors')),
    ).rejects.toThrow(/layers_per_block/);
  });
});

test('a dtype that is asked for is written', async () => {
  await saveSingleFile(await loadPipeline(await openPipeline(folder)), at('half.safetensors'), { dtype: 'f16' });
  await using reader = await openSafetensorsFile(at('half.safetensors'));
  expect([...new Set([...reader.entries.values()].map(({ dtype }) => dtype))]).toEqual(['F16']);
});

describe('saving part by part', () => {
  test('gives the same file, with one part at a time in memory and nothing left beside it', async () => {
    await mkdir(at('parts'));
    const source = await openPipeline(folder);
    const inMemory: string[] = [];
    let most = 0;
    await saveSingleFileParts(at('parts/model.safetensors'), source, async (part, save) => {
      const params = await source.loadPart(part);
      inMemory.push(part);
      most = Math.max(most, inMemory.length);
      await save(params);
      dispose(params);
      inMemory.pop();
    });
    expect(most).toBe(1);
    expect(await readdir(at('parts'))).toEqual(['model.safetensors']);
    expect((await readFile(at('parts/model.safetensors'))).equals(await readFile(file))).toBe(true);
  });

  test('leaves the old file where it fails', async () => {
    const source = await openPipeline(folder);
    const failing = saveSingleFileParts(at('parts/model.safetensors'), source, async (part, save) => {
      if (part === 'vae') throw new Error('no more room');
      await save(await source.loadPart(part));
    });
    await expect(failing).rejects.toThrow('no more room');
    expect(await readdir(at('parts'))).toEqual(['model.safetensors']);
    expect((await readFile(at('parts/model.safetensors'))).equals(await readFile(file))).toBe(true);
  });
});
