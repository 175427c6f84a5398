import { grad } from 'diffusion-dpo/autograd';
import {
  activation,
  attention,
  basicTransformerBlock,
  checkpointed,
  conv2d,
  downsample2d,
  dropout,
  embedding,
  feedForward,
  groupNorm,
  type Layer,
  layerNorm,
  linear,
  module,
  resnetBlock,
  spatialAttention,
  timestepEmbedding,
  timestepMlp,
  transformer2d,
  upsample2d,
  watch,
} from 'diffusion-dpo/nn';
import {
  flattenTree,
  item,
  key,
  mapTree,
  openDevice,
  random,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { checkGradients } from 'diffusion-dpo/testing';
import { describe, expect, test } from 'vitest';

const device = await openDevice('reference');
setDefaultDevice(device);

const f64 = { dtype: 'f64' } as const;
const normal = (seed: number, ...shape: number[]): Tensor => random.normal(key(seed), shape, f64);
const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());

describe('gradients', () => {
  const check = async <I extends readonly unknown[]>(layer: Layer<unknown, I, Tensor>, ...inputs: I) => {
    // Norms begin with ones and zeros, where a wrong gradient could hide.
    const params = mapTree(layer.init(key(1), f64), (x, path) => x.add(normal(path.length, ...x.shape).mul(0.1)));
    await checkGradients(
      (own: unknown, given: I) => layer.apply(own, ...given),
      (await realize([params, inputs])) as [unknown, I],
      { device },
    );
  };
  const image = normal(2, 2, 4, 3, 5);
  const tokens = normal(3, 2, 3, 4);
  const context = normal(4, 2, 5, 6);
  const heads = { heads: 2, headDim: 2 };
  const cases: readonly (readonly [string, () => Promise<void>])[] = [
    ['linear', () => check(linear(4, 3), tokens)],
    ['conv2d', () => check(conv2d(4, 2, 3, { stride: 2, padding: 1 }), image)],
    ['conv2d in groups', () => check(conv2d(4, 4, 3, { groups: 2, bias: false }), image)],
    ['groupNorm', () => check(groupNorm(2, 4), image)],
    ['layerNorm', () => check(layerNorm(4), tokens)],
    ['feedForward, geglu', () => check(feedForward({ width: 4, inner: 3 }), tokens)],
    ['feedForward, gelu', () => check(feedForward({ width: 4, inner: 3, activation: 'gelu' }), tokens)],
    ['attention to itself', () => check(attention({ queryDim: 4, ...heads }), tokens)],
    ['attention to a context', () => check(attention({ queryDim: 4, contextDim: 6, ...heads }), tokens, context)],
    ['spatialAttention', () => check(spatialAttention({ channels: 4, heads: 2, groups: 2 }), image)],
    [
      'basicTransformerBlock',
      () => check(basicTransformerBlock({ width: 4, contextDim: 6, ...heads }), tokens, context),
    ],
    [
      'transformer2d',
      () =>
        check(
          transformer2d({ channels: 4, layers: 1, groups: 2, linearProjection: true, contextDim: 6, ...heads }),
          normal(2, 2, 4, 2, 2),
          context,
        ),
    ],
    [
      'resnetBlock',
      () =>
        check(resnetBlock({ inputs: 4, outputs: 2, embeddingDim: 3, groups: 2, eps: 1e-5 }), image, normal(5, 2, 3)),
    ],
    [
      'resnetBlock that scales and shifts',
      () =>
        check(
          resnetBlock({
            inputs: 4,
            embeddingDim: 3,
            groups: 2,
            eps: 1e-5,
            timeScaleShift: 'scale_shift',
            outputScaleFactor: 2,
          }),
          image,
          normal(5, 2, 3),
        ),
    ],
    ['downsample2d', () => check(downsample2d(4), image)],
    ['downsample2d with padding at one end', () => check(downsample2d(4, { padding: 0 }), image)],
    ['upsample2d', () => check(upsample2d(4), normal(2, 1, 4, 2, 3))],
    ['timestepMlp', () => check(timestepMlp(4, 3), normal(2, 2, 4))],
    ['checkpointed', () => check(checkpointed(feedForward({ width: 4, inner: 3 })), tokens)],
  ];
  test.each(cases)('%s', (_, run) => run());
});

describe('parameters', () => {
  test('have the names of the children', () => {
    const layer = module({ a: linear(2, 3), list: [linear(3, 1), {}, layerNorm(1)], none: undefined }, () => 0);
    expect(flattenTree(layer.init(key(0))).map(({ path, tensor }) => `${path} ${tensor.shape}`)).toEqual([
      'a.weight 3,2',
      'a.bias 3',
      'list.0.weight 1,3',
      'list.0.bias 1',
      'list.2.weight 1',
      'list.2.bias 1',
    ]);
  });

  test('begin as in PyTorch: uniform in ±1/√fanIn, embeddings normal, norms as the identity', async () => {
    const uniform = async (layer: Layer<{ weight: Tensor; bias?: Tensor }, never>, fanIn: number) => {
      for (const { tensor } of flattenTree(layer.init(key(3)))) {
        const values = Array.from(await read(tensor));
        const bound = 1 / Math.sqrt(fanIn);
        expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(bound);
        // The variance of such numbers is bound²/3; that of their mean square is 4·bound⁴/(45·n).
        const meanSquare = values.reduce((sum, x) => sum + x * x, 0) / values.length;
        expect(Math.abs(meanSquare - bound ** 2 / 3)).toBeLessThan(
          5 * bound ** 2 * Math.sqrt(4 / (45 * values.length)),
        );
      }
    };
    await uniform(linear(50, 400), 50);
    await uniform(conv2d(8, 100, 3), 72);
    await uniform(conv2d(8, 100, 3, { groups: 4 }), 18);
    const { weight } = embedding(100, 50).init(key(4));
    expect(Math.abs(await item(weight.mean()))).toBeLessThan(5 / Math.sqrt(5000));
    expect(Math.abs((await item(weight.square().mean())) - 1)).toBeLessThan(5 * Math.sqrt(2 / 5000));
    expect(Array.from(await read(layerNorm(2).init(key(0)).weight as Tensor))).toEqual([1, 1]);
    expect(groupNorm(1, 2, { affine: false }).init(key(0))).toEqual({});
  });

  test('of siblings differ', async () => {
    const { a, b } = module({ a: linear(4, 4), b: linear(4, 4) }, () => 0).init(key(5));
    expect(await distance(a.weight, b.weight)).toBeGreaterThan(0.1);
  });

  test('stored as halves are used in the dtype of what comes in, and get gradients of their own dtype', async () => {
    const layer = linear(3, 2);
    const params = layer.init(key(0), { dtype: 'bf16' });
    expect(layer.apply(params, normal(1, 4, 3)).dtype).toBe('f64');
    const slope = grad((own: typeof params) => layer.apply(own, normal(1, 4, 3)).sum())(params);
    expect(slope.weight.dtype).toBe('bf16');
  });
});

describe('attention', () => {
  test('a few heads at a time gives the same', async () => {
    const options = { queryDim: 8, contextDim: 6, heads: 4, headDim: 2 };
    const params = await realize(attention(options).init(key(0), f64));
    const [x, context] = [normal(1, 2, 3, 8), normal(2, 2, 5, 6)];
    const whole = attention(options).apply(params, x, context);
    for (const sliceSize of [1, 3]) {
      expect(await distance(attention({ ...options, sliceSize }).apply(params, x, context), whole)).toBeLessThan(1e-14);
    }
  });

  test('does not see what is masked', async () => {
    const layer = attention({ queryDim: 4, heads: 2, headDim: 2 });
    const params = await realize(layer.init(key(0), f64));
    const [x, context] = [normal(1, 1, 2, 4), normal(2, 1, 3, 4)];
    const mask = tensor([true, true, false]).reshape([1, 1, 1, 3]);
    const masked = layer.apply(params, x, context, mask);
    expect(await distance(masked, layer.apply(params, x, context.slice([0, 0], [1, 2])))).toBeLessThan(1e-14);
  });
});

describe('timestepEmbedding', () => {
  const steps = [0, 1, 2, 10, 77, 500, 993, 999];

  test('numbers are exact in f64', async () => {
    const values = await read(timestepEmbedding([999], 6, { flipSinToCos: true, downscaleFreqShift: 0, ...f64 }));
    const angles = [0, 1, 2].map((i) => 999 * Math.exp((-Math.log(10000) * i) / 3));
    [...angles.map(Math.cos), ...angles.map(Math.sin)].forEach((expected, i) => {
      expect(values[i]).toBeCloseTo(expected, 11);
    });
  });

  test.each([0, 1])('tensors in f32 are near the exact values, with shift %i', async (downscaleFreqShift) => {
    const options = { flipSinToCos: true, downscaleFreqShift };
    const exact = timestepEmbedding(steps, 320, { ...options, ...f64 });
    const onDevice = timestepEmbedding(tensor(steps, { dtype: 'i32' }), 320, options);
    // Two products and a sum of numbers up to 1, each sine and cosine within 2 units of 2⁻²⁴.
    expect(await distance(onDevice.cast('f64'), exact)).toBeLessThan(8 * 2 ** -24);
    expect(await distance(timestepEmbedding(steps, 320, options).cast('f64'), exact)).toBeLessThanOrEqual(2 ** -25);
  });

  test('an odd width ends with zeros', async () => {
    const values = await read(timestepEmbedding([3], 5, f64));
    expect(values[4]).toBe(0);
  });
});

describe('dropout', () => {
  const x = tensor(new Array<number>(10_000).fill(2), f64);

  test('keeps a share of the elements, scaled so that the mean stays', async () => {
    const values = Array.from(await read(dropout(x, 0.25, key(1))));
    const kept = values.filter((value) => value !== 0);
    expect(Math.abs(kept.length / values.length - 0.75)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / values.length));
    expect(new Set(kept)).toEqual(new Set([2 / 0.75]));
    expect(Array.from(await read(dropout(x, 0.25, key(1))))).toEqual(values);
  });

  test('does nothing without a key, and refuses rates that are none', () => {
    expect(dropout(x, 0.25, undefined)).toBe(x);
    expect(() => dropout(x, 1, key(0))).toThrow('dropout: rate must be at least 0 and below 1, got 1');
  });
});

test('activations that are not known are refused with those that are', () => {
  expect(() => activation('selu')).toThrow("activation: 'selu' is not known; the activations are: silu, swish, gelu");
});

test('a checkpointed layer has the same gradients', async () => {
  const plain = resnetBlock({ inputs: 4, embeddingDim: 3, groups: 2, eps: 1e-5 });
  const params = await realize(plain.init(key(0), f64));
  const [x, embedding] = [normal(1, 1, 4, 3, 3), normal(2, 1, 3)];
  const slope = (layer: typeof plain) =>
    grad((own: typeof params) => layer.apply(own, x, embedding).square().sum())(params);
  const [a, b] = [flattenTree(slope(plain)), flattenTree(slope(checkpointed(plain)))];
  for (const [i, { tensor }] of a.entries()) expect(await distance(tensor, b[i]?.tensor as Tensor)).toBeLessThan(1e-12);
});

test('layers can be watched until one stops', () => {
  const layer = module({ inner: linear(2, 3) }, ({ inner }, x: Tensor) => inner(x).sum());
  const params = layer.init(key(0), f64);
  const seen: unknown[] = [];
  const stop = watch(params.inner, (output) => seen.push((output as Tensor).shape));
  layer.apply(params, normal(0, 4, 2));
  stop();
  layer.apply(params, normal(0, 4, 2));
  expect(seen).toEqual([[4, 3]]);
});
