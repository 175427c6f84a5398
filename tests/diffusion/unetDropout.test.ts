import { unet2dConditionModel, unet2dModel } from 'diffusion-dpo/diffusion';
import {
  flattenTree,
  item,
  key,
  openDevice,
  random,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { beforeAll, describe, expect, test, vi } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const f64 = { dtype: 'f64' } as const;
const normal = (seed: number, ...shape: number[]): Tensor => random.normal(key(seed), shape, f64);
const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());

const small = {
  block_out_channels: [8, 8],
  layers_per_block: 2,
  norm_num_groups: 4,
  dropout: 0.4,
};
const conditional = {
  ...small,
  ...{ attention_head_dim: 2, cross_attention_dim: 4, transformer_layers_per_block: 1 },
  down_block_types: ['CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D'],
};
const plain = {
  ...small,
  attention_head_dim: 8,
  down_block_types: ['DownBlock2D', 'AttnDownBlock2D'],
  up_block_types: ['AttnUpBlock2D', 'UpBlock2D'],
};

describe.each([
  ['UNet2DConditionModel', unet2dConditionModel, conditional],
  ['UNet2DModel', unet2dModel, plain],
] as const)('dropout of %s', (_, build, config) => {
  const channels = build === unet2dModel ? 3 : 4;
  const x = normal(1, 1, channels, 4, 4);
  const context = normal(2, 1, 3, 4);
  const [dropping, whole] = [build(config), build({ ...config, dropout: 0 })];
  let params: ReturnType<typeof dropping.init>;
  beforeAll(async () => {
    params = await realize(dropping.init(key(3), f64));
  });
  const apply = (model: typeof dropping, given?: Tensor): Tensor => model.apply(params, x, 7, { context, key: given });

  test('needs a key, and follows it', async () => {
    const still = apply(whole);
    expect(await distance(apply(dropping), still)).toBe(0);
    expect(await distance(apply(whole, key(5)), still)).toBe(0);
    expect(await distance(apply(dropping, key(5)), still)).toBeGreaterThan(1e-3);
    expect(await distance(apply(dropping, key(5)), apply(dropping, key(5)))).toBe(0);
    expect(await distance(apply(dropping, key(5)), apply(dropping, key(6)))).toBeGreaterThan(1e-3);
  });

  test('has a key of its own in every residual block, down, in the middle and up', async () => {
    const bernoulli = vi.spyOn(random, 'bernoulli');
    apply(dropping, key(5));
    const used = bernoulli.mock.calls.map(([own, rate]) => ({ own, rate }));
    bernoulli.mockRestore();
    // 2 of each block on the way down, 2 in the middle, 3 of each block on the way up.
    expect(used.length).toBe(2 * 2 + 2 + 3 * 2);
    expect(used.every(({ rate }) => rate === 0.4)).toBe(true);
    const own = await realize(used.map((one) => random.uniform(one.own, [])));
    const values = await Promise.all(own.map((one) => item(one)));
    expect(new Set(values).size).toBe(used.length);
  });
});

test('no block sees tokens that are masked', async () => {
  const config = {
    ...conditional,
    down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
    up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
  };
  const model = unet2dConditionModel(config);
  const params = await realize(model.init(key(3), f64));
  const [x, context] = [normal(1, 2, 4, 4, 4), normal(2, 2, 3, 4)];
  const contextMask = tensor([1, 1, 0, 1, 1, 0]).greater(0).reshape([2, 3]);
  const masked = model.apply(params, x, 7, { context, contextMask });
  const short = model.apply(params, x, 7, { context: context.sliceAxis(1, 0, 2) });
  expect(await distance(masked, short)).toBeLessThan(1e-12);
  expect(await distance(masked, model.apply(params, x, 7, { context }))).toBeGreaterThan(1e-4);
});

test('every residual block and transformer of a UNet begins with weights of its own', async () => {
  const model = unet2dConditionModel({ ...conditional, layers_per_block: 2, transformer_layers_per_block: 2 });
  const weights = flattenTree(model.init(key(0))).filter(
    ({ path }) => path.endsWith('.weight') && !path.includes('norm'),
  );
  const firsts = await Promise.all(
    Object.values(
      await realize(weights.map(({ tensor: { size }, tensor }) => tensor.reshape([size]).sliceAxis(0, 0, 1))),
    ).map((one) => item(one.reshape([]))),
  );
  // Layers of other widths have other bounds, but no two have one number.
  expect(new Set(firsts).size).toBe(weights.length);
});
