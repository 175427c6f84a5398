import {
  autoencoderKL,
  autoencoderTiny,
  decodeLatents,
  encodeImages,
  latentSample,
  sampleLatents,
} from 'diffusion-dpo/diffusion';
import { key, openDevice, random, read, realize, setDefaultDevice, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { beforeAll, describe, expect, test } from 'vitest';

beforeAll(async () => setDefaultDevice(await openDevice('wasm', { threads: 1 })));

const tiny = {
  _class_name: 'AutoencoderKL',
  block_out_channels: [4, 8],
  down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D'],
  norm_num_groups: 4,
};
const largest = async (a: Tensor, b: Tensor) => Math.max(...(await read(a.sub(b).abs().reshape([a.size]))));

describe('AutoencoderKL', () => {
  test('halves images once for each level but the last, and says how latents are scaled', async () => {
    const vae = autoencoderKL(tiny);
    expect([vae.factor, vae.latentChannels]).toEqual([2, 4]);
    const params = vae.init(key(0));
    const { mean, logVariance } = vae.encode(params, random.normal(key(1), [2, 3, 8, 12]));
    expect([mean.shape, logVariance?.shape]).toEqual([
      [2, 4, 4, 6],
      [2, 4, 4, 6],
    ]);
    expect(vae.decode(params, mean).shape).toEqual([2, 3, 8, 12]);
    // Files of 2022 have no scaling_factor and mean 0.18215.
    expect(Array.from(await read(vae.scaleLatents(tensor([[[[2]]]]))))[0]).toBeCloseTo(0.3643, 6);
  });

  test.each([
    ['a factor', { scaling_factor: 0.5 }, [1, 2, 3, 4], [0.5, 1, 1.5, 2]],
    ['a factor and a shift', { scaling_factor: 0.5, shift_factor: 2 }, [1, 2, 3, 4], [-0.5, 0, 0.5, 1]],
    [
      'means and deviations of channels',
      { scaling_factor: 0.5, latents_mean: [1, 0, 0, -1], latents_std: [1, 2, 4, 0.5] },
      [1, 2, 3, 4],
      [0, 0.5, 0.375, 5],
    ],
  ])('scales latents by %s, and back', async (_, fields, values, scaled) => {
    const vae = autoencoderKL({ ...tiny, ...fields });
    const z = tensor(values).reshape([1, 4, 1, 1]);
    expect(Array.from(await read(vae.scaleLatents(z)))).toEqual(scaled);
    expect(await largest(vae.unscaleLatents(vae.scaleLatents(z)), z)).toBeLessThan(1e-6);
  });

  test('clamps log variances, and samples with a key or with given noise', async () => {
    const vae = autoencoderKL(tiny);
    const moments = tensor([1, 2, 3, 4, 99, -99, 0, 2]).reshape([1, 8, 1, 1]);
    const latents = vae.distributionOf(moments);
    expect(Array.from(await read(latents.logVariance as Tensor))).toEqual([20, -30, 0, 2]);
    const noise = tensor([0, 1, 2, 1]).reshape([1, 4, 1, 1]);
    const values = Array.from(await read(latentSample(latents, noise)));
    expect(values[0]).toBe(1);
    expect(values[2]).toBe(5);
    expect(values[3]).toBeCloseTo(4 + Math.E, 5);
    const drawn = sampleLatents(latents, key(3));
    expect(await largest(drawn, latentSample(latents, random.normal(key(3), [1, 4, 1, 1])))).toBe(0);
    expect(await largest(drawn, sampleLatents(latents, key(4)))).toBeGreaterThan(0);
  });

  test.each([
    [{ block_out_channels: [] }, /block_out_channels is empty/],
    [{ block_out_channels: [4, 6] }, /6 channels do not divide into 4 groups/],
    [{ down_block_types: ['DownEncoderBlock2D'] }, /down_block_types has 1 entries, but block_out_channels has 2/],
    [{ up_block_types: ['UpDecoderBlock2D', 'AttnUpDecoderBlock2D'] }, /"AttnUpDecoderBlock2D" is not supported/],
    [{ scaling_factor: 0 }, /scaling_factor must not be 0/],
    [{ latents_mean: [1, 2, 3, 4] }, /latents_mean and latents_std must be given together/],
    [{ latent_chanels: 4 }, /latent_chanels: is not known here.*latent_channels/],
    [{ _class_name: 'VQModel' }, /"VQModel", not "AutoencoderKL"/],
  ])('refuses %j', (fields, message) => {
    expect(() => autoencoderKL({ ...tiny, ...fields })).toThrow(message);
  });

  test('may lack the 1 × 1 convolutions around latents and the attention in the middle', () => {
    const names = (fields: object) => Object.keys(autoencoderKL({ ...tiny, ...fields }).init(key(0)) as object);
    expect(names({})).toEqual(['encoder', 'decoder', 'quant_conv', 'post_quant_conv']);
    expect(names({ use_quant_conv: false, use_post_quant_conv: false })).toEqual(['encoder', 'decoder']);
    const middle = autoencoderKL({ ...tiny, mid_block_add_attention: false }).init(key(0)) as {
      readonly encoder: { readonly mid_block: object };
    };
    expect(Object.keys(middle.encoder.mid_block)).toEqual(['resnets']);
  });
});

describe('running an autoencoder', () => {
  test('gives images the same latents and pixels in any batch', async () => {
    const vae = autoencoderKL(tiny);
    const params = await realize(vae.init(key(0)));
    const images = random.normal(key(1), [3, 3, 8, 8]);
    const all = await encodeImages(vae, params, images);
    const second = await encodeImages(vae, params, images.sliceAxis(0, 1, 2));
    expect(await largest(all.mean.sliceAxis(0, 1, 2), second.mean)).toBe(0);
    const latents = all.mean;
    const decoded = await decodeLatents(vae, params, latents);
    expect(
      await largest(decoded.sliceAxis(0, 2, 3), await decodeLatents(vae, params, latents.sliceAxis(0, 2, 3))),
    ).toBe(0);
    expect(await largest(decoded, vae.decode(params, latents))).toBeLessThan(1e-5);
  });

  test('cuts what is larger than a tile into tiles, and leaves the rest whole', async () => {
    const vae = autoencoderKL(tiny);
    const params = await realize(vae.init(key(0)));
    const latents = random.normal(key(2), [1, 4, 9, 6]);
    const whole = await decodeLatents(vae, params, latents, { tileSize: null });
    expect(whole.shape).toEqual([1, 3, 18, 12]);
    expect(await largest(whole, await decodeLatents(vae, params, latents, { tileSize: 18 }))).toBe(0);
    const tiled = await decodeLatents(vae, params, latents, { tileSize: 8 });
    expect(tiled.shape).toEqual([1, 3, 18, 12]);
    expect(await largest(whole, tiled)).toBeGreaterThan(0);
    await expect(decodeLatents(vae, params, latents, { tileSize: 9 })).rejects.toThrow('a multiple of 2 pixels');
    const { mean } = await encodeImages(vae, params, whole, { tileSize: 8 });
    expect(mean.shape).toEqual([1, 4, 9, 6]);
  });

  test('tiles of a network that sees single places alone join without a seam', async () => {
    const doubled = (x: Tensor) => x.mul(2);
    const pointwise = {
      ...autoencoderTiny({}),
      ...{ factor: 1, latentChannels: 3, encodeMoments: (_: object, x: Tensor) => doubled(x) },
      decode: (_: object, x: Tensor) => doubled(x),
      init: () => ({}),
    };
    const x = random.normal(key(5), [2, 3, 11, 7]);
    for (const tileOverlap of [0, 0.25, 0.5])
      expect(
        await largest(await decodeLatents(pointwise, {}, x, { tileSize: 4, tileOverlap }), doubled(x)),
      ).toBeLessThan(1e-6);
  });
});

describe('AutoencoderTiny', () => {
  test('has the sizes of TAESD by default, with names by place', () => {
    const vae = autoencoderTiny({ _class_name: 'AutoencoderTiny', block_out_channels: [64, 64, 64, 64] });
    expect([vae.factor, vae.latentChannels]).toEqual([8, 4]);
    const params = vae.init(key(0)) as { readonly encoder: { readonly layers: object } };
    expect(Object.keys(params.encoder.layers)).toHaveLength(15);
    const { mean } = vae.encode(vae.init(key(0)), random.normal(key(1), [1, 3, 16, 24]));
    expect(mean.shape).toEqual([1, 4, 2, 3]);
    expect(vae.decode(vae.init(key(0)), mean).shape).toEqual([1, 3, 16, 24]);
  });

  test('refuses levels of unlike widths or numbers', () => {
    expect(() => autoencoderTiny({ encoder_block_out_channels: [64, 32, 64, 64] })).toThrow(/must be equal numbers/);
    expect(() => autoencoderTiny({ num_decoder_blocks: [3, 1] })).toThrow(/num_decoder_blocks \(3, 1\)/);
  });
});
