import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { autoencoderKL, autoencoderTiny, type PipelinePart } from 'diffusion-dpo/diffusion';
import {
  loadPipeline,
  type OpenPipelineOptions,
  openPipeline,
  type PipelineSource,
  saveModelFolder,
  savePipelineFolder,
  saveSingleFile,
  saveSingleFileParts,
  saveTokenizerFolder,
} from 'diffusion-dpo/diffusion/node';
import { sampleImages } from 'diffusion-dpo/dpo';
import {
  dispose,
  flattenTree,
  key,
  openDevice,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  zeros,
} from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { narrowPipeline, tokenizer } from './fullLayouts.ts';
import { publishedTensors, writeHollow } from './hollowFiles.ts';

setDefaultDevice(await openDevice('wasm', { threads: 1 }));
let place: string;
const at = (name: string) => join(place, name);
/** A pipeline with the blocks of Stable Diffusion 1 as a folder, and as a file whose configurations are those of the folder. */
const [folder, file] = [() => at('sd1'), () => at('sd1.safetensors')];
const own = (options: OpenPipelineOptions = {}): OpenPipelineOptions => ({ modelConfig: folder(), ...options });

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'open-'));
  const pipeline = await narrowPipeline('Stable Diffusion 1', 'f32');
  await savePipelineFolder(folder(), pipeline);
  await saveSingleFile(pipeline, file());
});
afterAll(() => rm(place, { recursive: true, force: true }));

/** Writes the file's tensors again, changed, and gives the path. */
async function changed(name: string, change: (tensors: Map<string, Tensor>) => void): Promise<string> {
  await using reader = await openSafetensorsFile(file());
  const tensors = await reader.readAll();
  change(tensors);
  await saveSafetensors(at(name), tensors);
  return at(name);
}

const values = async (source: PipelineSource, part: PipelinePart): Promise<Record<string, ArrayLike<unknown>>> =>
  Object.fromEntries(
    await Promise.all(
      flattenTree(await source.loadPart(part)).map(async ({ path, tensor }) => [path, await read(tensor)] as const),
    ),
  );

test('a file is sampled from as its folder is', async () => {
  const options = { captions: ['a red square'], seed: 3, size: [16, 16], steps: 2, guidance: 4 } as const;
  const images = await Promise.all(
    [openPipeline(folder()), openPipeline(file(), own())].map(async (source) =>
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
    const source = await openPipeline(file(), own({ tokenizer: at('tokenizer') }));
    expect(source.tokenizer.merges).toEqual(tokenizer.merges);
    await expect(openPipeline(file(), own({ tokenizer: join(folder(), 'unet') }))).rejects.toThrow(
      /holds no tokenizer: .*1 text encoder/,
    );
  });

  test('must be the one of the text encoder', async () => {
    await mkdir(at('bare'));
    await savePipelineFolder(at('bare'), await narrowPipeline('Stable Diffusion 1', 'f32'));
    await rm(at('bare/tokenizer'), { recursive: true });
    await expect(openPipeline(file(), { modelConfig: at('bare') })).rejects.toThrow(
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
    const opened = await openPipeline(file(), own(asked));
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
    const [weights, averages] = [await values(plain, 'unet'), await values(average, 'unet')];
    expect(averages).toEqual(
      Object.fromEntries(
        Object.entries(weights).map(([name, x]) => [name, Float32Array.from(x as ArrayLike<number>, (v) => 2 * v)]),
      ),
    );
    expect(await values(average, 'vae')).toEqual(await values(plain, 'vae'));
    await expect(openPipeline(file(), own({ ema: true }))).rejects.toThrow(/has no average of its weights.*--ema/);
  });
});

describe('another autoencoder', () => {
  /** Weights that differ from the pipeline's. */
  const other = async () => {
    const { config } = await openPipeline(folder());
    const params = await realize(autoencoderKL(config.vae).init(key(7)));
    return { config: config.vae ?? {}, params };
  };

  test('is needed where a file has none', async () => {
    const bare = await changed('bare.safetensors', (tensors) => {
      for (const name of [...tensors.keys()]) if (name.startsWith('first_stage_model.')) tensors.delete(name);
    });
    await expect(openPipeline(bare, own())).rejects.toThrow(/has no autoencoder .*--vae FOLDER or --vae FILE/);
    const source = await openPipeline(bare, own({ vae: join(folder(), 'vae') }));
    expect(source.parts).toContain('vae');
    expect(await values(source, 'vae')).toEqual(await values(await openPipeline(folder()), 'vae'));
    expect(await values(await openPipeline(bare, own({ vae: file() })), 'vae')).toEqual(await values(source, 'vae'));
  });

  test('is read from a folder, a pipeline, and files with the names of diffusers or the original layout', async () => {
    const { config, params } = await other();
    await saveModelFolder(at('vae'), config, params);
    await copyFile(at('vae/diffusion_pytorch_model.safetensors'), at('vae.safetensors'));
    const pipeline = await loadPipeline(await openPipeline(folder()));
    const full = { ...pipeline, params: { ...pipeline.params, vae: params } };
    await savePipelineFolder(at('full'), full);
    await saveSingleFile(full, at('full.safetensors'));
    await using reader = await openSafetensorsFile(at('full.safetensors'));
    const prefix = 'first_stage_model.';
    const tensors = [...(await reader.readAll())].filter(([name]) => name.startsWith(prefix));
    await saveSafetensors(at('plain.safetensors'), new Map(tensors.map(([name, x]) => [name.slice(prefix.length), x])));
    const expected = Object.fromEntries(
      await Promise.all(flattenTree(params).map(async ({ path, tensor }) => [path, await read(tensor)] as const)),
    );
    for (const vae of ['vae', 'vae.safetensors', 'full', 'full.safetensors', 'plain.safetensors'])
      for (const [path, options] of [
        [folder(), {}],
        [file(), own()],
      ] as const)
        expect(await values(await openPipeline(path, { ...options, vae: at(vae) }), 'vae'), vae).toEqual(expected);
  });

  test('may be TAESD, in one file with the names of diffusers', async () => {
    const tiny = {
      _class_name: 'AutoencoderTiny',
      encoder_block_out_channels: [4, 4, 4, 4],
      decoder_block_out_channels: [4, 4, 4, 4],
    };
    const params = await realize(autoencoderTiny(tiny).init(key(7)));
    await saveModelFolder(at('taesd'), tiny, params);
    const source = await openPipeline(file(), own({ vae: at('taesd/diffusion_pytorch_model.safetensors') }));
    expect(source.config.vae).toEqual(tiny);
    expect(await values(source, 'vae')).toEqual(
      await values(await openPipeline(file(), own({ vae: at('taesd') })), 'vae'),
    );
    await saveSafetensors(at('taesd-half.safetensors'), {
      '0.weight': zeros([4, 3]),
      '1.conv.0.weight': zeros([4, 4]),
    });
    await expect(openPipeline(file(), own({ vae: at('taesd-half.safetensors') }))).rejects.toThrow(
      'this is a half of TAESD',
    );
  });

  test('must have the latents of the UNet', async () => {
    const { config } = await other();
    const eight = { ...config, latent_channels: 8 };
    await saveModelFolder(at('eight'), eight, await realize(autoencoderKL(eight).init(key(0))));
    await expect(openPipeline(file(), own({ vae: at('eight') }))).rejects.toThrow(
      'the vae has latents of 8 channels, but the unet takes 4 and gives 4',
    );
    await expect(openPipeline(file(), own({ vae: at('eight/diffusion_pytorch_model.safetensors') }))).rejects.toThrow(
      /these are not the parameters.*of another shape/s,
    );
    await expect(openPipeline(file(), own({ vae: join(folder(), 'unet') }))).rejects.toThrow('this is no autoencoder');
  });
});

test('another UNet is read from its folder, which may be inside a pipeline, and must fit the text encoder', async () => {
  const other = await narrowPipeline('Stable Diffusion 1', 'f16', 5);
  await savePipelineFolder(at('tuned'), other);
  const expected = await values(await openPipeline(at('tuned')), 'unet');
  for (const unet of [at('tuned'), at('tuned/unet')])
    for (const [path, options] of [
      [folder(), {}],
      [file(), own()],
    ] as const)
      expect(await values(await openPipeline(path, { ...options, unet }), 'unet')).toEqual(expected);
  await savePipelineFolder(at('large'), await narrowPipeline('Stable Diffusion 2', 'f16'));
  await expect(openPipeline(file(), own({ unet: at('large') }))).rejects.toThrow(
    'the unet looks at text of width 10 (cross_attention_dim), but the text encoder gives 8 (hidden_size)',
  );
  await expect(openPipeline(file(), own({ unet: file() }))).rejects.toThrow('a UNet is given as a folder');
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
    await copyFile(file(), at('short.safetensors'));
    await truncate(at('short.safetensors'), (await stat(file())).size - 100);
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
    await expect(openPipeline(file(), { modelConfig: at('xl') })).rejects.toThrow(
      /sd1\.safetensors: has 1 text encoder\(s\), and .*xl has the configurations of 2/,
    );
    await expect(openPipeline(file(), { modelConfig: at('nothing') })).rejects.toThrow(/nothing/);
    await expect(openPipeline(at('nothing.safetensors'))).rejects.toThrow(/nothing\.safetensors/);
  });

  test('folders that are no pipeline are named as what they are', async () => {
    await expect(openPipeline(join(folder(), 'unet'))).rejects.toThrow(/folder of a UNet alone: give it with --unet/);
    await expect(openPipeline(join(folder(), 'vae'))).rejects.toThrow(
      /folder of an autoencoder alone: give it with --vae/,
    );
    await expect(openPipeline(join(folder(), 'text_encoder'))).rejects.toThrow(/folder of a text encoder alone/);
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
    await expect(openPipeline(folder(), { ema: true })).rejects.toThrow(/--ema is for single files/);
    await expect(openPipeline(folder(), { tokenizer: at('tokenizer') })).rejects.toThrow(
      /--tokenizer is for single files/,
    );
  });

  test('pipelines that the layout has no place for, when they are saved', async () => {
    const { vae: _, ...pixels } = (await openPipeline(folder())).config;
    const pipeline = await loadPipeline(await openPipeline(folder()));
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
  await saveSingleFile(await loadPipeline(await openPipeline(folder())), at('half.safetensors'), { dtype: 'f16' });
  await using reader = await openSafetensorsFile(at('half.safetensors'));
  expect([...new Set([...reader.entries.values()].map(({ dtype }) => dtype))]).toEqual(['F16']);
});

describe('saving part by part', () => {
  test('gives the same file, with one part at a time in memory and nothing left beside it', async () => {
    await mkdir(at('parts'));
    const source = await openPipeline(folder());
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
    expect((await readFile(at('parts/model.safetensors'))).equals(await readFile(file()))).toBe(true);
  });

  test('leaves the old file where it fails', async () => {
    const source = await openPipeline(folder());
    const failing = saveSingleFileParts(at('parts/model.safetensors'), source, async (part, save) => {
      if (part === 'vae') throw new Error('no more room');
      await save(await source.loadPart(part));
    });
    await expect(failing).rejects.toThrow('no more room');
    expect(await readdir(at('parts'))).toEqual(['model.safetensors']);
    expect((await readFile(at('parts/model.safetensors'))).equals(await readFile(file()))).toBe(true);
  });
});
