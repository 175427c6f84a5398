import { readFileSync } from 'node:fs';
import { grad } from 'diffusion-dpo/autograd';
import { manifestOf, unet2dConditionModel, unet2dModel } from 'diffusion-dpo/diffusion';
import { activation, conv2d, spatialAttention, timestepEmbedding, timestepMlp, watch } from 'diffusion-dpo/nn';
import {
  concat,
  flattenTree,
  item,
  key,
  openDevice,
  random,
  realize,
  setDefaultDevice,
  type Tensor,
} from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { publishedUNets, ssd1b } from './publishedConfigs.ts';

setDefaultDevice(await openDevice('reference'));

const normal = (seed: number, ...shape: number[]): Tensor => random.normal(key(seed), shape, { dtype: 'f64' });
const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());

describe('published configurations', () => {
  test.each(Object.entries(publishedUNets))('%s', (_, { config, parameters }) => {
    const model = config._class_name === 'UNet2DModel' ? unet2dModel(config) : unet2dConditionModel(config);
    expect(manifestOf(model.init(key(0))).parameters).toBe(parameters);
  });

  test('segmind/SSD-1B has the tensors of SDXL that are left after its distillation', () => {
    const url = new URL('../golden/manifests/sdxl_unet.manifest.json', import.meta.url);
    const { shapes } = JSON.parse(readFileSync(url, 'utf8')) as { readonly shapes: Record<string, number[]> };
    const depths: Readonly<Record<string, readonly number[]>> = {
      'down_blocks.1': [2, 2],
      'down_blocks.2': [4, 4],
      'up_blocks.0': [4, 4, 10],
      'up_blocks.1': [2, 1, 1],
    };
    const isLeft = (name: string): boolean => {
      if (name.startsWith('mid_block.')) return name.startsWith('mid_block.resnets.0.');
      const [, block = '', layer, depth] = /^(.+)\.attentions\.(\d+)\.transformer_blocks\.(\d+)\./.exec(name) ?? [];
      return depth === undefined || Number(depth) < (depths[block]?.[Number(layer)] as number);
    };
    const left = Object.fromEntries(Object.entries(shapes).filter(([name]) => isLeft(name)));
    expect(manifestOf(unet2dConditionModel(ssd1b).init(key(0))).shapes).toEqual(left);
  });
});

/** What layers of a model give, by what they are called here, in one application of it. */
async function seen<Name extends string>(
  layers: Readonly<Record<Name, unknown>>,
  apply: () => Tensor,
): Promise<Readonly<Record<Name | 'out', Tensor>>> {
  const found: Record<string, unknown> = {};
  const stops = Object.entries(layers).map(([name, params]) =>
    watch(params as object, (output) => {
      found[name] = output;
    }),
  );
  found.out = apply();
  for (const stop of stops) stop();
  return (await realize(found)) as Readonly<Record<Name | 'out', Tensor>>;
}

describe('options of UNet2DModel mean what they mean in diffusers:', () => {
  const small = {
    block_out_channels: [8, 16],
    down_block_types: ['DownBlock2D', 'AttnDownBlock2D'],
    up_block_types: ['AttnUpBlock2D', 'UpBlock2D'],
    layers_per_block: 1,
    norm_num_groups: 4,
    attention_head_dim: 8,
  };
  const namesOf = (config: object) => Object.keys(manifestOf(unet2dModel(config).init(key(0))).shapes);
  const norm = 'mid_block.attentions.0.group_norm.weight';

  test('attn_norm_num_groups counts in the middle only, and without it scale_shift takes that norm away', async () => {
    expect(namesOf(small)).toContain(norm);
    const shifted = { ...small, resnet_time_scale_shift: 'scale_shift' };
    expect(namesOf(shifted)).not.toContain(norm);
    expect(namesOf(shifted)).toContain('down_blocks.1.attentions.0.group_norm.weight');
    expect(namesOf({ ...shifted, attn_norm_num_groups: 2 })).toContain(norm);

    const model = unet2dModel({ ...small, attn_norm_num_groups: 2, mid_block_scale_factor: 3 });
    const params = await realize(model.init(key(1), { dtype: 'f64' }));
    const [down, mid] = [params.down_blocks[1], params.mid_block];
    const { before, after, first, last } = await seen(
      {
        first: down?.resnets[0],
        last: down?.attentions?.[0],
        before: mid?.resnets[0],
        after: mid?.attentions?.[0],
      },
      () => model.apply(params, normal(2, 1, 3, 4, 4), 7),
    );
    const attended = (own: unknown, x: Tensor, groups: number, rescaleOutputFactor: number) =>
      spatialAttention({ channels: 16, heads: 2, groups, rescaleOutputFactor }).apply(own as never, x);
    expect(await distance(after, attended(mid?.attentions?.[0], before, 2, 3))).toBeLessThan(1e-12);
    expect(await distance(last, attended(down?.attentions?.[0], first, 4, 1))).toBeLessThan(1e-12);
  });

  test('act_fn is that of residual blocks; time and the end have SiLU', async () => {
    const model = unet2dModel({ ...small, act_fn: 'relu' });
    const params = await realize(model.init(key(1), { dtype: 'f64' }));
    const { time, normed, out, hidden, block } = await seen(
      {
        time: params.time_embedding,
        normed: params.conv_norm_out,
        hidden: params.down_blocks[0]?.resnets[0]?.norm2,
        block: params.down_blocks[0]?.resnets[0]?.conv2,
      },
      () => model.apply(params, normal(2, 1, 3, 4, 4), 7),
    );
    const waves = timestepEmbedding([7], 8, { flipSinToCos: true, downscaleFreqShift: 0, dtype: 'f64' });
    expect(await distance(time, timestepMlp(8, 32).apply(params.time_embedding, waves))).toBeLessThan(1e-12);
    const applied = (conv: { readonly weight: Tensor; readonly bias?: Tensor }, x: Tensor) =>
      conv2d(1, 1, 3, { padding: 1 }).apply(conv, x);
    expect(await distance(out, applied(params.conv_out, activation('silu')(normed)))).toBeLessThan(1e-12);
    const conv2 = params.down_blocks[0]?.resnets[0]?.conv2 as { readonly weight: Tensor };
    expect(await distance(block, applied(conv2, hidden.relu()))).toBeLessThan(1e-12);
  });

  test('time_embedding_dim is the width of what time is embedded in, four times the first channels unless it is said', () => {
    const widthOf = (config: object) =>
      manifestOf(unet2dModel({ ...small, ...config }).init(key(0))).shapes['time_embedding.linear_2.weight'];
    expect(widthOf({ time_embedding_dim: 12 })).toEqual([12, 12]);
    expect(widthOf({ time_embedding_dim: null })).toEqual([32, 32]);
    expect(widthOf({})).toEqual([32, 32]);
  });

  test('mid_block_type null and add_attention false leave out what is in the middle', () => {
    const mid = (config: object) => namesOf(config).filter((name) => name.startsWith('mid_block'));
    expect(mid({ ...small, mid_block_type: null })).toEqual([]);
    expect(mid({ ...small, add_attention: false }).every((name) => name.startsWith('mid_block.resnets'))).toBe(true);
    expect(mid({ ...small, mid_block_type: 'UNetMidBlock2D' })).toContain('mid_block.attentions.0.to_q.weight');
  });
});

describe('options of UNet2DConditionModel mean what they mean in diffusers:', () => {
  const small = {
    block_out_channels: [8, 16],
    down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
    up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
    layers_per_block: 1,
    norm_num_groups: 4,
    attention_head_dim: 2,
    cross_attention_dim: 6,
  };

  test('only_cross_attention does not reach the middle', () => {
    const { shapes } = manifestOf(unet2dConditionModel({ ...small, only_cross_attention: [true, false] }).init(key(0)));
    const keys = (block: string) => shapes[`${block}.attentions.0.transformer_blocks.0.attn1.to_k.weight`];
    expect(['down_blocks.0', 'down_blocks.1', 'mid_block', 'up_blocks.0', 'up_blocks.1'].map(keys)).toEqual([
      [8, 6],
      [16, 16],
      [16, 16],
      [16, 16],
      [8, 6],
    ]);
    const everywhere = manifestOf(unet2dConditionModel({ ...small, only_cross_attention: true }).init(key(0)));
    expect(everywhere.shapes['mid_block.attentions.0.transformer_blocks.0.attn1.to_k.weight']).toEqual([16, 16]);
  });

  test('act_fn is that of time, and of the end; what is added has SiLU', async () => {
    const model = unet2dConditionModel({
      ...small,
      act_fn: 'relu',
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 4,
      projection_class_embeddings_input_dim: 29,
      time_embedding_dim: 24,
    });
    const params = await realize(model.init(key(1), { dtype: 'f64' }));
    const textEmbeds = normal(4, 1, 5);
    const timeIds = [[64, 32, 0, 4, 64, 64]];
    const { time, added, normed, out } = await seen(
      { time: params.time_embedding, added: params.add_embedding, normed: params.conv_norm_out },
      () =>
        model.apply(params, normal(2, 1, 4, 3, 5), 7, { context: normal(3, 1, 2, 6), added: { textEmbeds, timeIds } }),
    );
    const waves = (steps: readonly number[], width: number) =>
      timestepEmbedding(steps, width, { flipSinToCos: true, downscaleFreqShift: 0, dtype: 'f64' });
    const relu = timestepMlp(8, 24, { activation: 'relu' });
    expect(await distance(time, relu.apply(params.time_embedding, waves([7], 8)))).toBeLessThan(1e-12);
    const sizes = concat([textEmbeds, waves(timeIds.flat(), 4).reshape([1, 24])], 1);
    const addedParams = params.add_embedding as typeof params.time_embedding;
    expect(await distance(added, timestepMlp(29, 24).apply(addedParams, sizes))).toBeLessThan(1e-12);
    const end = conv2d(8, 4, 3, { padding: 1 }).apply(params.conv_out, normed.relu());
    expect(await distance(out, end)).toBeLessThan(1e-12);
  });

  test('checkpointing changes nothing but the memory', async () => {
    const [plain, checkpointed] = [{}, { checkpointing: true }].map((options) =>
      unet2dConditionModel({ ...small, dropout: 0.3 }, options),
    ) as [ReturnType<typeof unet2dConditionModel>, ReturnType<typeof unet2dConditionModel>];
    const params = await realize(plain.init(key(1), { dtype: 'f64' }));
    const [x, context] = [normal(2, 1, 4, 4, 4), normal(3, 1, 2, 6)];
    const slopes = (model: typeof plain) =>
      grad((own: typeof params) =>
        model
          .apply(own, x, 7, { context, key: key(5) })
          .square()
          .mean(),
      )(params);
    const [a, b] = (await realize([slopes(plain), slopes(checkpointed)])).map((tree) => flattenTree(tree));
    for (const [i, { path, tensor }] of (a ?? []).entries())
      expect(await distance(tensor, b?.[i]?.tensor as Tensor), path).toBeLessThan(1e-12);
  });

  test('kernels of even width are padded so that images shrink', () => {
    const model = unet2dConditionModel({ ...small, conv_out_kernel: 2 });
    const params = model.init(key(0));
    expect(model.apply(params, normal(2, 1, 4, 4, 4).cast('f32'), 7, { context: normal(3, 1, 2, 6) }).shape).toEqual([
      1, 4, 3, 3,
    ]);
  });
});

describe('what is not there is refused by name:', () => {
  test.each([
    ['downsample_type', 'resnet'],
    ['time_embedding_type', 'fourier'],
    ['num_class_embeds', 10],
    ['mid_block_type', 'UNetMidBlock2DCrossAttn'],
  ])('UNet2DModel with %s', (name, value) => {
    expect(() => unet2dModel({ [name]: value })).toThrow(
      `UNet2DModel: this configuration cannot be used:\n  ${name}: `,
    );
  });

  test.each([
    ['dual_cross_attention', true],
    ['class_embed_type', 'projection'],
    ['addition_embed_type', 'text'],
    ['encoder_hid_dim', 4096],
    ['num_attention_heads', 8],
    ['resnet_skip_time_act', true],
    ['resnet_out_scale_factor', 2],
    ['time_embedding_type', 'fourier'],
    ['time_cond_proj_dim', 256],
    ['attention_type', 'gated'],
    ['mid_block_type', 'UNetMidBlock2DSimpleCrossAttn'],
  ])('UNet2DConditionModel with %s', (name, value) => {
    expect(() => unet2dConditionModel({ [name]: value })).toThrow(
      `UNet2DConditionModel: this configuration cannot be used:\n  ${name}: `,
    );
  });

  test('fields that only say how an average was taken, or are of the other UNet, are passed over', () => {
    const ema = { decay: 0.9999, inv_gamma: 1, min_decay: 0, power: 0.75, update_after_step: 0, use_ema_warmup: false };
    expect(() => unet2dModel({ ...ema, optimization_step: 100, cross_attention_dim: 768 })).not.toThrow();
    expect(() => unet2dConditionModel({ ...ema, add_attention: true, downsample_type: 'conv' })).not.toThrow();
  });

  test('blocks that are not known, and lists that do not fit', () => {
    const blocks = ['KDownBlock2D', 'DownBlock2D', 'DownBlock2D', 'DownBlock2D'];
    expect(() => unet2dConditionModel({ down_block_types: blocks })).toThrow(
      'down_block_types: "KDownBlock2D" is not supported; there are: DownBlock2D, CrossAttnDownBlock2D',
    );
    expect(() => unet2dConditionModel({ attention_head_dim: [5, 10] })).toThrow(
      'attention_head_dim has 2 entries, but block_out_channels has 4',
    );
    const depths = { transformer_layers_per_block: [[1], [1, 1], [1, 1], 1] };
    expect(() => unet2dConditionModel(depths)).toThrow('reverse_transformer_layers_per_block must be given');
    expect(() => unet2dConditionModel({ ...depths, reverse_transformer_layers_per_block: [1, 1, 1, 1] })).toThrow(
      'transformer_layers_per_block: [1] has no number for residual block 1 of its block',
    );
  });
});
