import { unet2dModel } from 'diffusion-dpo/diffusion';
import {
  attention,
  conv2d,
  downsample2d,
  groupNorm,
  linear,
  resnetBlock,
  spatialAttention,
  timestepEmbedding,
  timestepMlp,
  transformer2d,
  upsample2d,
  watch,
} from 'diffusion-dpo/nn';
import { item, key, openDevice, random, realize, setDefaultDevice, silu, type Tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const f64 = { dtype: 'f64' } as const;
const normal = (seed: number, ...shape: number[]): Tensor => random.normal(key(seed), shape, f64);
const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());
const norm = (channels: number, eps = 1e-5) => groupNorm(2, channels, { eps });
const kernel3 = (inputs: number, outputs: number) => conv2d(inputs, outputs, 3, { padding: 1 });

describe('a residual block is what its parts make, in their order:', () => {
  const [x, embedding] = [normal(1, 2, 4, 3, 3), normal(2, 2, 5)];

  test.each(['default', 'scale_shift'] as const)('%s', async (timeScaleShift) => {
    const scales = timeScaleShift === 'scale_shift';
    const block = resnetBlock({
      ...{ inputs: 4, outputs: 6, embeddingDim: 5, groups: 2, eps: 1e-5 },
      ...{ timeScaleShift, outputScaleFactor: 1.7 },
    });
    const params = await realize(block.init(key(3), f64));
    const hidden = kernel3(4, 6).apply(params.conv1, silu(norm(4).apply(params.norm1, x)));
    const time = linear(5, scales ? 12 : 6)
      .apply(params.time_emb_proj as never, silu(embedding))
      .unsqueeze(-1)
      .unsqueeze(-1);
    // The first half scales, about 1, and the second shifts.
    const part = (from: number) => time.sliceAxis(1, from, from + 6);
    const second = scales
      ? norm(6).apply(params.norm2, hidden).mul(part(0).add(1)).add(part(6))
      : norm(6).apply(params.norm2, hidden.add(time));
    const shortcut = conv2d(4, 6, 1).apply(params.conv_shortcut as never, x);
    const expected = kernel3(6, 6).apply(params.conv2, silu(second)).add(shortcut).div(1.7);
    expect(await distance(block.apply(params, x, embedding), expected)).toBeLessThan(1e-12);
  });

  test('without another number of channels the shortcut is the image', async () => {
    const block = resnetBlock({ inputs: 4, groups: 2, eps: 1e-5 });
    const params = await realize(block.init(key(3), f64));
    const hidden = kernel3(4, 4).apply(params.conv1, silu(norm(4).apply(params.norm1, x)));
    const expected = kernel3(4, 4).apply(params.conv2, silu(norm(4).apply(params.norm2, hidden)));
    expect(await distance(block.apply(params, x), expected.add(x))).toBeLessThan(1e-12);
  });
});

test('attention of places is attention of their tokens behind a norm, and the image', async () => {
  const layer = spatialAttention({ channels: 4, heads: 2, groups: 2, rescaleOutputFactor: 1.3 });
  const params = await realize(layer.init(key(1), f64));
  const x = normal(2, 2, 4, 2, 3);
  const normed = norm(4).apply(params.group_norm ?? {}, x);
  const tokens = normed.reshape([2, 4, 6]).permute([0, 2, 1]);
  const attended = attention({ queryDim: 4, heads: 2, headDim: 2, bias: true }).apply(params, tokens);
  const image = attended.permute([0, 2, 1]).reshape([2, 4, 2, 3]);
  expect(await distance(layer.apply(params, x), image.add(x).div(1.3))).toBeLessThan(1e-12);
});

test.each([true, false])(
  'transformers on places have eps 1e-6 in their norm, projected linearly %s',
  async (linearProjection) => {
    const layer = transformer2d({ ...{ channels: 4, heads: 2, headDim: 3, layers: 0, groups: 2 }, linearProjection });
    const params = await realize(layer.init(key(1), f64));
    // Of so small a variance, eps is a large part.
    const x = normal(2, 1, 4, 2, 2).mul(1e-3);
    const normed = norm(4, 1e-6).apply(params.norm, x);
    const flat = (weight: Tensor) => weight.reshape([weight.shape[0] as number, weight.shape[1] as number]);
    const project = (inputs: number, outputs: number, own: { readonly weight: Tensor }, tokens: Tensor) =>
      linear(inputs, outputs).apply({ ...own, weight: flat(own.weight) }, tokens);
    const tokens = normed.reshape([1, 4, 4]).permute([0, 2, 1]);
    const wide = project(4, 6, params.proj_in, tokens);
    const expected = project(6, 4, params.proj_out, wide).permute([0, 2, 1]).reshape([1, 4, 2, 2]).add(x);
    expect(await distance(layer.apply(params, x), expected)).toBeLessThan(1e-12);
  },
);

test('residual blocks of a UNet have its eps; those in the middle divide their sums, and no others do', async () => {
  const model = unet2dModel({
    ...{ block_out_channels: [8, 8], layers_per_block: 1, norm_num_groups: 2, mid_block_scale_factor: 3 },
    ...{ down_block_types: ['DownBlock2D', 'DownBlock2D'], up_block_types: ['UpBlock2D', 'UpBlock2D'] },
    ...{ add_attention: false, norm_eps: 0.1 },
  });
  const params = await realize(model.init(key(1), f64));
  const seen: Record<string, Tensor> = {};
  const watched = {
    time: params.time_embedding,
    before: params.down_blocks[0]?.downsamplers?.[0],
    down: params.down_blocks[1]?.resnets[0],
    middle: params.mid_block?.resnets[0],
  };
  const stops = Object.entries(watched).map(([name, own]) =>
    watch(own as object, (output) => {
      seen[name] = output as Tensor;
    }),
  );
  model.apply(params, normal(2, 1, 3, 4, 4), 7);
  for (const stop of stops) stop();
  const { time, before, down, middle } = (await realize(seen)) as Record<keyof typeof watched, Tensor>;
  const block = (own: unknown, x: Tensor, outputScaleFactor: number) =>
    resnetBlock({ inputs: 8, embeddingDim: 32, groups: 2, eps: 0.1, outputScaleFactor }).apply(own as never, x, time);
  expect(await distance(down, block(watched.down, before, 1))).toBeLessThan(1e-12);
  expect(await distance(middle, block(watched.middle, down, 3))).toBeLessThan(1e-12);
});

test('images are halved with a line of zeros on all sides, or right and below alone', async () => {
  const x = normal(1, 1, 2, 4, 4);
  const convolution = conv2d(2, 2, 3, { stride: 2 });
  for (const [padding, before] of [
    [1, 1],
    [0, 0],
  ] as const) {
    const layer = downsample2d(2, { padding });
    const params = await realize(layer.init(key(2), f64));
    const padded = x.pad([0, 0, 1, 1].map((lines) => [lines * before, lines] as const));
    const expected = convolution
      .apply(params.conv as never, padded)
      .sliceAxis(2, 0, 2)
      .sliceAxis(3, 0, 2);
    expect(await distance(layer.apply(params, x), expected)).toBeLessThan(1e-12);
  }
});

test('a UNet may centre images from 0 to 1 itself', async () => {
  const small = {
    ...{ block_out_channels: [8], layers_per_block: 1, norm_num_groups: 2 },
    ...{ down_block_types: ['DownBlock2D'], up_block_types: ['UpBlock2D'], mid_block_type: null },
  };
  const [centring, plain] = [unet2dModel({ ...small, center_input_sample: true }), unet2dModel(small)];
  const params = await realize(plain.init(key(1), f64));
  const x = normal(2, 1, 3, 2, 2);
  const expected = plain.apply(params, x.mul(2).sub(1), 7);
  expect(await distance(centring.apply(params, x, 7), expected)).toBeLessThan(1e-12);
});

test('images are doubled, or brought to the size that is asked for', () => {
  const layer = upsample2d(2);
  const params = layer.init(key(0), f64);
  expect(layer.apply(params, normal(1, 1, 2, 2, 3)).shape).toEqual([1, 2, 4, 6]);
  expect(layer.apply(params, normal(1, 1, 2, 2, 3), [3, 5]).shape).toEqual([1, 2, 3, 5]);
});

test.each([
  [true, 0],
  [false, 0],
  [true, 1],
])('a UNet embeds time with cosines first %s and the shift %i', async (flipSinToCos, downscaleFreqShift) => {
  const model = unet2dModel({
    ...{ block_out_channels: [8], layers_per_block: 1, norm_num_groups: 2, mid_block_type: null },
    ...{ down_block_types: ['DownBlock2D'], up_block_types: ['UpBlock2D'] },
    ...{ flip_sin_to_cos: flipSinToCos, freq_shift: downscaleFreqShift },
  });
  const params = await realize(model.init(key(1), f64));
  let seen: Tensor | undefined;
  const stop = watch(params.time_embedding, (output) => {
    seen = output as Tensor;
  });
  model.apply(params, normal(2, 1, 3, 2, 2), 7);
  stop();
  const waves = timestepEmbedding([7], 8, { flipSinToCos, downscaleFreqShift, ...f64 });
  const expected = timestepMlp(8, 32).apply(params.time_embedding, waves);
  expect(await distance(seen as Tensor, expected)).toBeLessThan(1e-12);
});
