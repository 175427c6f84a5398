import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { autoencoderKL, autoencoderTiny } from 'diffusion-dpo/diffusion';
import {
  loadPipeline,
  openPipeline,
  saveModelFolder,
  savePipelineFolder,
  saveSingleFile,
} from 'diffusion-dpo/diffusion/node';
import { flattenTree, key, read, realize, zeros } from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterAll, describe, expect, test } from 'vitest';
import { narrowPipeline } from './fullLayouts.ts';
import { narrowOnDisk, valuesOf } from './narrowOnDisk.ts';

const { at, folder, file, own, changed, remove } = await narrowOnDisk();
afterAll(remove);

describe('another autoencoder', () => {
  /** Weights that differ from the pipeline's. */
  const other = async () => {
    const { config } = await openPipeline(folder);
    const params = await realize(autoencoderKL(config.vae).init(key(7)));
    return { config: config.vae ?? {}, params };
  };

  test('is needed where a file has none', async () => {
    const bare = await changed('bare.safetensors', (tensors) => {
      for (const name of [...tensors.keys()]) if (name.startsWith('first_stage_model.')) tensors.delete(name);
    });
    await expect(openPipeline(bare, own())).rejects.toThrow(/has no autoencoder .*--vae FOLDER or --vae FILE/);
    const source = await openPipeline(bare, own({ vae: join(folder, 'vae') }));
    expect(source.parts).toContain('vae');
    expect(await valuesOf(source, 'vae')).toEqual(await valuesOf(await openPipeline(folder), 'vae'));
    expect(await valuesOf(await openPipeline(bare, own({ vae: file })), 'vae')).toEqual(await valuesOf(source, 'vae'));
  });

  test('is read from a folder, a pipeline, and files with the names of diffusers or the original layout', async () => {
    const { config, params } = await other();
    await saveModelFolder(at('vae'), config, params);
    await copyFile(at('vae/diffusion_pytorch_model.safetensors'), at('vae.safetensors'));
    const pipeline = await loadPipeline(await openPipeline(folder));
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
        [folder, {}],
        [file, own()],
      ] as const)
        expect(await valuesOf(await openPipeline(path, { ...options, vae: at(vae) }), 'vae'), vae).toEqual(expected);
  });

  test('may be TAESD, in one file with the names of diffusers', async () => {
    const tiny = {
      _class_name: 'AutoencoderTiny',
      encoder_block_out_channels: [4, 4, 4, 4],
      decoder_block_out_channels: [4, 4, 4, 4],
    };
    const params = await realize(autoencoderTiny(tiny).init(key(7)));
    await saveModelFolder(at('taesd'), tiny, params);
    const source = await openPipeline(file, own({ vae: at('taesd/diffusion_pytorch_model.safetensors') }));
    expect(source.config.vae).toEqual(tiny);
    expect(await valuesOf(source, 'vae')).toEqual(
      await valuesOf(await openPipeline(file, own({ vae: at('taesd') })), 'vae'),
    );
    await saveSafetensors(at('taesd-half.safetensors'), {
      '0.weight': zeros([4, 3]),
      '1.conv.0.weight': zeros([4, 4]),
    });
    await expect(openPipeline(file, own({ vae: at('taesd-half.safetensors') }))).rejects.toThrow(
      'this is a half of TAESD',
    );
  });

  test('must have the latents of the UNet', async () => {
    const { config } = await other();
    const eight = { ...config, latent_channels: 8 };
    await saveModelFolder(at('eight'), eight, await realize(autoencoderKL(eight).init(key(0))));
    await expect(openPipeline(file, own({ vae: at('eight') }))).rejects.toThrow(
      'the vae has latents of 8 channels, but the unet takes 4 and gives 4',
    );
    await expect(openPipeline(file, own({ vae: at('eight/diffusion_pytorch_model.safetensors') }))).rejects.toThrow(
      /these are not the parameters.*of another shape/s,
    );
    await expect(openPipeline(file, own({ vae: join(folder, 'unet') }))).rejects.toThrow('this is no autoencoder');
  });
});

test('another UNet is read from its folder, which may be inside a pipeline, and must fit the text encoder', async () => {
  const other = await narrowPipeline('Stable Diffusion 1', 'f16', 5);
  await savePipelineFolder(at('tuned'), other);
  const expected = await valuesOf(await openPipeline(at('tuned')), 'unet');
  for (const unet of [at('tuned'), at('tuned/unet')])
    for (const [path, options] of [
      [folder, {}],
      [file, own()],
    ] as const)
      expect(await valuesOf(await openPipeline(path, { ...options, unet }), 'unet')).toEqual(expected);
  await savePipelineFolder(at('large'), await narrowPipeline('Stable Diffusion 2', 'f16'));
  await expect(openPipeline(file, own({ unet: at('large') }))).rejects.toThrow(
    'the unet looks at text of width 10 (cross_attention_dim), but the text encoder gives 8 (hidden_size)',
  );
  await expect(openPipeline(file, own({ unet: file }))).rejects.toThrow('a UNet is given as a folder');
});
