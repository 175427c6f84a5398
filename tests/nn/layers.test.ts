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
  type ParamsOf,
  resnetBlock,
  spatialAttention,
  timestepEmbedding,
  timestepMlp,
  transformer2d,
  upsample2d,
  watch,
} from 'diffusion-dpo/nn';
import {
  eye,
  flattenTree,
  item,
  key,
  mapTree,
  ones,
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
      { device, order: 2 },
    );
  };
  const image = normal(2, 2, 4, 3, 5);
  const tokens = normal(3, 2, 3, 4);
  const context = normal(4, 2, 5, 6);
  const heads = { heads: 2, headDim: 2 };
  const stateless = (apply: (x: Tensor) => Tensor): Layer<unknown> => ({ init: () => ({}), apply: (_, x) => apply(x) });
  const toSize = (params: ParamsOf<ReturnType<typeof upsample2d>>, x: Tensor) => upsample2d(4).apply(params, x, [3, 5]);
  const crossAttention = attention({ queryDim: 4, contextDim: 6, ...heads });
  const isSeen = tensor([1, 0, 1, 1, 0]).greater(0).reshape([1, 1, 1, 5]);
  const masked: typeof crossAttention = {
    ...crossAttention,
    apply: (params, x, y) => crossAttention.apply(params, x, y, isSeen),
  };
  const cases: readonly (readonly [string, () => Promise<void>])[] = [
    ['linear', () => check(linear(4, 3), tokens)],
    ['conv2d', () => check(conv2d(4, 2, 3, { stride: 2, padding: 1 }), image)],
    ['conv2d in groups', () => check(conv2d(4, 4, 3, { groups: 2, bias: false }), image)],
    ['groupNorm', () => check(groupNorm(2, 4), image)],
    ['layerNorm', () => check(layerNorm(4), tokens)],
    ['feedForward, geglu', () => check(feedForward({ width: 4, inner: 3 }), tokens)],
    ...(['gelu', 'gelu-approximate', 'geglu-approximate'] as const).map(
      (name) =>
        [`feedForward, ${name}`, () => check(feedForward({ width: 4, inner: 3, activation: name }), tokens)] as const,
    ),
    ['attention to itself', () => check(attention({ queryDim: 4, ...heads }), tokens)],
    ['attention to a context', () => check(attention({ queryDim: 4, contextDim: 6, ...heads }), tokens, context)],
    ['attention, one head at a time', () => check(attention({ queryDim: 4, ...heads, sliceSize: 1 }), tokens)],
    [
      'spatialAttention',
      () => check(spatialAttention({ channels: 4, heads: 2, groups: 2, rescaleOutputFactor: 2 }), image),
    ],
    [
      'spatialAttention without a norm',
      () => check(spatialAttention({ channels: 4, heads: 2, rescaleOutputFactor: 2 }), normal(2, 1, 4, 2, 2)),
    ],
    ['attention with a mask', () => check(masked, tokens, context)],
    [
      'dropout',
      () =>
        check(
          stateless((x) => dropout(x, 0.5, key(7))),
          tokens,
        ),
    ],
    [
      'basicTransformerBlock',
      () => check(basicTransformerBlock({ width: 4, contextDim: 6, ...heads }), tokens, context),
    ],
    ['basicTransformerBlock without context', () => check(basicTransformerBlock({ width: 4, ...heads }), tokens)],
    [
      'basicTransformerBlock that looks at the context only',
      () =>
        check(basicTransformerBlock({ width: 4, contextDim: 6, onlyCrossAttention: true, ...heads }), tokens, context),
    ],
    ...[true, false].map(
      (linearProjection) =>
        [
          `transformer2d, projected ${linearProjection ? 'linearly' : 'by convolutions'}`,
          () =>
            check(
              transformer2d({ channels: 4, layers: 1, groups: 2, linearProjection, contextDim: 6, ...heads }),
              normal(2, 2, 4, 2, 2),
              context,
            ),
        ] as const,
    ),
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
    ['resnetBlock without time', () => check(resnetBlock({ inputs: 4, outputs: 2, groups: 2, eps: 1e-5 }), image)],
    [
      'resnetBlock with an activated embedding and dropout',
      () =>
        check(
          resnetBlock({ inputs: 4, embeddingDim: 3, groups: 2, eps: 1e-5, skipTimeActivation: true, dropout: 0.5 }),
          image,
          normal(5, 2, 3),
          key(6),
        ),
    ],
    ['downsample2d', () => check(downsample2d(4), image)],
    ['downsample2d by means', () => check(downsample2d(4, { convolution: false }), image)],
    ['downsample2d with padding at one end', () => check(downsample2d(4, { padding: 0 }), image)],
    ['upsample2d', () => check(upsample2d(4), normal(2, 1, 4, 2, 3))],
    ['upsample2d to a size', () => check({ ...upsample2d(4), apply: toSize }, normal(2, 1, 4, 2, 3))],
    ['embedding', () => check(embedding(5, 3), tensor([[0, 4, 4]], { dtype: 'i32' }))],
    ['timestepMlp', () => check(timestepMlp(4, 3), normal(2, 2, 4))],
    [
      'timestepMlp with a condition',
      () => check(timestepMlp(4, 3, { conditionDim: 2 }), normal(2, 2, 4), normal(3, 2, 2)),
    ],
    [
      'timestepEmbedding',
      () =>
        check(
          stateless((t) => timestepEmbedding(t, 6, f64)),
          tensor([0.3, 7.25], f64),
        ),
    ],
    ...(['mish', 'gelu_new', 'quick_gelu'] as const).map(
      (name) => [name, () => check(stateless(activation(name)), tokens)] as const,
    ),
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
    for (const { weight, bias } of [layerNorm(2).init(key(0)), groupNorm(1, 2).init(key(0))]) {
      expect(Array.from(await read(weight as Tensor))).toEqual([1, 1]);
      expect(Array.from(await read(bias as Tensor))).toEqual([0, 0]);
    }
    expect(groupNorm(1, 2, { affine: false }).init(key(0))).toEqual({});
  });

  test('of siblings differ, and so do weights and biases', async () => {
    const { weight, bias } = linear(1, 8).init(key(5));
    expect(await distance(weight.reshape([8]), bias as Tensor)).toBeGreaterThan(0.1);
    const { a, b } = module({ a: linear(4, 4), b: linear(4, 4) }, () => 0).init(key(5));
    expect(await distance(a.weight, b.weight)).toBeGreaterThan(0.1);
  });

  test('of children in lists, and in lists of lists, differ from one another', async () => {
    const tree = module(
      {
        rows: [[linear(3, 2), linear(3, 2)], [linear(3, 2)]],
        named: { a: linear(3, 2), b: linear(3, 2) },
        last: [linear(3, 2)],
      },
      (_, x: Tensor) => x,
    ).init(key(9), f64);
    const firsts = flattenTree(tree).map(({ tensor: one }) => one.reshape([one.size]).sliceAxis(0, 0, 1).sum());
    const values = await Promise.all(firsts.map((one) => item(one)));
    expect(values.length).toBe(12);
    expect(new Set(values).size).toBe(12);
    // A child's place is its own, whatever stands beside it.
    const shorter = module({ rows: [[linear(3, 2)]] }, (_, x: Tensor) => x).init(key(9), f64);
    const first = flattenTree(shorter)[0]?.tensor as Tensor;
    expect(await distance(first, flattenTree(tree)[0]?.tensor as Tensor)).toBe(0);
  });

  test('stored as halves are used in the dtype of what comes in, and get gradients of their own dtype', async () => {
    const layer = linear(3, 2);
    const params = layer.init(key(0), { dtype: 'bf16' });
    expect(layer.apply(params, normal(1, 4, 3)).dtype).toBe('f64');
    const slope = grad((own: typeof params) => layer.apply(own, normal(1, 4, 3)).sum())(params);
    expect(slope.weight.dtype).toBe('bf16');
  });
});

describe('feedForward', () => {
  // diffusers' FeedForward, its numbers worked out by hand for one token: the projection gives 2, 1 (and 3, 0 as gates).
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const tanhGelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  // Φ(1), Φ(2) and Φ(3) of the standard normal distribution, from a table.
  const [phi1, phi2, phi3] = [0.8413447460685429, 0.9772498680518208, 0.9986501019683699];
  test.each([
    ['geglu', [2, 1, 3, 0], 2 * 3 * phi3],
    ['gelu', [2, 1], 2 * phi2 + phi1],
    ['gelu-approximate', [2, 1], tanhGelu(2) + tanhGelu(1)],
    ['geglu-approximate', [2, 1], 2 * sigmoid(1.702 * 2) + sigmoid(1.702)],
  ] as const)('%s', async (name, projected, expected) => {
    const weight = tensor(
      projected.map((x) => [x]),
      f64,
    );
    const params = { net: [{ proj: { weight } }, {}, { weight: tensor([[1, 1]], f64) }] as const };
    const layer = feedForward({ width: 1, inner: 2, activation: name });
    expect(await item(layer.apply(params, ones([1, 1, 1], f64)))).toBeCloseTo(expected, 12);
  });

  test('refuses activations that are not known', () => {
    expect(() => feedForward({ width: 1, activation: 'relu' as 'gelu' })).toThrow(
      "feedForward: activation 'relu' is not known; there are: geglu, geglu-approximate, gelu, gelu-approximate",
    );
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

describe('activation', () => {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const silu = (x: number) => x * sigmoid(x);
  test.each([
    ['silu', silu],
    ['swish', silu],
    // Φ(1) and Φ(−2) of the standard normal distribution, from a table.
    ['gelu', (x: number) => (x === 1 ? 0.8413447460685429 : -2 * 0.0227501319481792)],
    ['gelu_new', (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
    ['quick_gelu', (x: number) => x * sigmoid(1.702 * x)],
    ['relu', (x: number) => Math.max(x, 0)],
    ['mish', (x: number) => x * Math.tanh(Math.log(1 + Math.exp(x)))],
  ] as const)('%s', async (name, expected) => {
    const [positive, negative] = await read(activation(name)(tensor([1, -2], f64)));
    expect(positive).toBeCloseTo(expected(1), 12);
    expect(negative).toBeCloseTo(expected(-2), 12);
  });
});

describe('resnetBlock', () => {
  const options = { inputs: 4, embeddingDim: 3, groups: 2, eps: 1e-5 };
  const [x, embedding] = [normal(1, 2, 4, 3, 3), normal(2, 2, 3)];

  test('may be given an embedding that is activated', async () => {
    const params = await realize(resnetBlock(options).init(key(0), f64));
    const activated = resnetBlock({ ...options, skipTimeActivation: true }).apply(
      params,
      x,
      activation('silu')(embedding),
    );
    expect(await distance(activated, resnetBlock(options).apply(params, x, embedding))).toBeLessThan(1e-14);
  });

  test('drops what goes into the second convolution where there is a key', async () => {
    const layer = resnetBlock({ ...options, dropout: 0.5 });
    const begun = layer.init(key(0), f64);
    // The second convolution hands each place of each channel on as it is.
    const weight = eye(4, f64)
      .reshape([4, 4, 1, 1])
      .pad([
        [0, 0],
        [0, 0],
        [1, 1],
        [1, 1],
      ]);
    const params = await realize({ ...begun, conv2: { weight } });
    const branch = async (rng?: Tensor) => Array.from(await read(layer.apply(params, x, embedding, rng).sub(x)));
    const [whole, dropped] = [await branch(), await branch(key(7))];
    const factors = dropped.map((value, i) => Math.round(value / (whole[i] as number)));
    expect(new Set(factors)).toEqual(new Set([0, 2]));
    dropped.forEach((value, i) => {
      expect(value).toBeCloseTo((factors[i] as number) * (whole[i] as number), 12);
    });
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
