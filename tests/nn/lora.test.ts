import { grad } from 'diffusion-dpo/autograd';
import { unet2dConditionModel } from 'diffusion-dpo/diffusion';
import {
  adamW,
  attachLora,
  attention,
  conv2d,
  countParameters,
  embedding,
  initLora,
  type LoraAdapters,
  linear,
  mergeLora,
  module,
  unmergeLora,
} from 'diffusion-dpo/nn';
import {
  flattenTree,
  item,
  key,
  mapTree,
  openDevice,
  random,
  read,
  readStorage,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { checkGradients } from 'diffusion-dpo/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WasmDevice } from '../../tensor/wasm/device.ts';

const device = await openDevice('reference');
setDefaultDevice(device);

const f64 = { dtype: 'f64' } as const;
const normal = (seed: number, ...shape: number[]): Tensor => random.normal(key(seed), shape, f64);
const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());
/** Adapters that do something: B is not zero. */
const trained = (adapters: LoraAdapters, seed = 7): LoraAdapters =>
  mapTree(adapters, (x, path) => (path.endsWith('.up') ? random.normal(key(seed + path.length), x.shape, f64) : x));

const net = module(
  { attn: attention({ queryDim: 4, heads: 2, headDim: 3 }), conv: conv2d(1, 2, 3, { stride: 2, padding: 1 }) },
  ({ attn, conv }, x: Tensor) => {
    const y = attn(x);
    return conv(y.reshape([y.shape[0] as number, 1, ...y.shape.slice(1)]));
  },
);
const base = await realize(net.init(key(0), f64));
const x = normal(1, 2, 5, 4);
const everywhere = { targets: ['attn.**', 'conv'], rank: 2, alpha: 3, ...f64 } as const;

describe('adapters', () => {
  test('begin beside the projections of attention, with B = 0', async () => {
    const adapters = initLora(base, key(1), { rank: 2 });
    expect(flattenTree(adapters).map(({ path, tensor: { shape } }) => `${path} ${shape.join('×')}`)).toEqual([
      'attn.to_q.down 2×4',
      'attn.to_q.up 6×2',
      'attn.to_k.down 2×4',
      'attn.to_k.up 6×2',
      'attn.to_v.down 2×4',
      'attn.to_v.up 6×2',
      'attn.to_out.0.down 2×6',
      'attn.to_out.0.up 4×2',
    ]);
    for (const { up, down, alpha } of Object.values(adapters)) {
      expect(alpha).toBe(2);
      expect(await item(up.abs().max())).toBe(0);
      expect(await item(down.abs().max())).toBeGreaterThan(0);
    }
    const { conv } = initLora(base, key(1), { targets: ['conv'], rank: 5, alpha: 1 });
    expect([conv?.down.shape, conv?.up.shape, conv?.alpha]).toEqual([[5, 1, 3, 3], [2, 5, 1, 1], 1]);
  });

  test('begin with A uniform in ±1/√fanIn, or normal with standard deviation 1/r', async () => {
    const params = { conv: conv2d(50, 4, 3).init(key(0)) };
    const meanSquare = async (init: 'kaiming' | 'gaussian') => {
      const { conv } = initLora(params, key(3), { targets: ['conv'], rank: 20, init, ...f64 });
      const down = conv?.down as Tensor;
      return [await item(down.square().mean()), await item(down.abs().max()), down.size] as const;
    };
    const [uniform, largest, count] = await meanSquare('kaiming');
    const bound = 1 / Math.sqrt(450);
    expect(largest).toBeLessThanOrEqual(bound);
    // The mean of n squares of uniform numbers is bound²/3, with variance 4·bound⁴/(45·n); of normal ones σ², with 2·σ⁴/n.
    expect(Math.abs(uniform - bound ** 2 / 3)).toBeLessThan(5 * bound ** 2 * Math.sqrt(4 / (45 * count)));
    const [gaussian] = await meanSquare('gaussian');
    expect(Math.abs(gaussian - 1 / 400)).toBeLessThan((5 / 400) * Math.sqrt(2 / count));
  });

  test('begin with an A of their own, even for layers of one shape', async () => {
    const twins = { a: conv2d(2, 2, 1).init(key(0)), b: conv2d(2, 2, 1).init(key(0)) };
    for (const init of ['kaiming', 'gaussian'] as const) {
      const { a, b } = initLora(twins, key(3), { targets: ['a', 'b'], rank: 2, init, ...f64 });
      expect(await read(a?.down as Tensor)).not.toEqual(await read(b?.down as Tensor));
    }
  });

  test('that have just begun change not a bit of what a model gives', async () => {
    const attached = attachLora(base, initLora(base, key(1), everywhere));
    expect(await read(net.apply(attached, x))).toEqual(await read(net.apply(base, x)));
  });

  test('of Stable Diffusion 1.5 are as many as diffusers makes', () => {
    const unet = unet2dConditionModel({ block_out_channels: [320, 640, 1280, 1280], cross_attention_dim: 768 });
    const adapters = initLora(unet.init(key(0)), key(1), { rank: 4 });
    expect(Object.keys(adapters)).toHaveLength(16 * 2 * 4);
    expect(countParameters(adapters)).toBe(797_184);
  });

  test('are refused where there is nothing for them to do', () => {
    expect(() => initLora(base, key(0), { targets: ['conv.weight', /norm/] })).toThrow(
      'initLora: no linear layer or convolution fits conv.weight, /norm/',
    );
    expect(() => initLora(base, key(0), { rank: 0 })).toThrow('rank must be a whole number of at least 1, got 0');
    const table = { ids: embedding(3, 4).init(key(0)) };
    const attached = attachLora(table, initLora(table, key(0), { targets: ['ids'] }));
    expect(() => embedding(3, 4).apply(attached.ids, tensor([1], { dtype: 'i32' }))).toThrow(
      'embedding: adapters are for linear layers and convolutions only',
    );
    const grouped = { conv: conv2d(4, 4, 3, { groups: 2 }).init(key(0)) };
    const { conv } = attachLora(grouped, initLora(grouped, key(0), { targets: ['conv'] }));
    expect(() => conv2d(4, 4, 3, { groups: 2 }).apply(conv, normal(0, 1, 4, 3, 3).cast('f32'))).toThrow(
      'with groups 1',
    );
  });

  test('that do not fit are all listed', () => {
    const [down, up] = [normal(0, 2, 4), normal(0, 6, 2)];
    const adapters = {
      'attn.to_p': { down, up, alpha: 2 },
      'attn.to_q': { down: normal(0, 2, 5), up, alpha: 2 },
      'attn.to_k': { down, up: normal(0, 6, 3), alpha: 2 },
      'attn.to_v': { down, up, alpha: 2 },
    };
    const message = [
      'there are 3 problems:',
      "  there is no linear layer or convolution 'attn.to_p'",
      "  A (down) of 'attn.to_q', whose weight is [6, 4], must be [rank, 4], not [2, 5]",
      "  B (up) of 'attn.to_k', whose weight is [6, 4], must be [6, 2] beside an A of rank 2, not [6, 3]",
    ].join('\n');
    expect(() => attachLora(base, adapters)).toThrow(`attachLora: ${message}`);
    expect(() => mergeLora(base, adapters)).toThrow(`mergeLora: ${message}`);
    const one = { 'attn.to_v': adapters['attn.to_v'] };
    expect(() => attachLora(attachLora(base, one), one)).toThrow("attachLora: 'attn.to_v' has an adapter already");
  });
});

/** W + s·B·A, number by number. */
function naiveMerge(
  weight: ArrayLike<number>,
  up: ArrayLike<number>,
  down: ArrayLike<number>,
  rank: number,
  scale: number,
) {
  const outputs = up.length / rank;
  const inner = down.length / rank;
  return Array.from({ length: outputs * inner }, (_, at) => {
    const [o, i] = [Math.floor(at / inner), at % inner];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += Number(up[o * rank + r]) * Number(down[r * inner + i]);
    return Number(weight[at]) + scale * sum;
  });
}

describe('what adapters compute', () => {
  const sizes = fc.integer({ min: 1, max: 5 });
  test('is W + (alpha/r)·B·A, merged or not', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          inputs: sizes,
          outputs: sizes,
          rank: sizes,
          alpha: fc.constantFrom(1, 4, 0.5),
          kernel: fc.constantFrom(0, 1, 2, 3),
          stride: fc.constantFrom(1, 2),
          padding: fc.constantFrom(0, 1),
          seed: fc.nat(1000),
        }),
        async ({ inputs, outputs, rank, alpha, kernel, stride, padding, seed }) => {
          const layer = kernel === 0 ? linear(inputs, outputs) : conv2d(inputs, outputs, kernel, { stride, padding });
          const input = kernel === 0 ? normal(seed, 3, inputs) : normal(seed, 2, inputs, 5, 4);
          const params = { layer: layer.init(key(seed), f64) };
          const adapters = trained(initLora(params, key(seed + 1), { targets: ['layer'], rank, alpha, ...f64 }), seed);
          const merged = mergeLora(params, adapters).layer;
          const [weight, up, down] = await Promise.all(
            [params.layer.weight, adapters.layer?.up, adapters.layer?.down].map((one) => read(one as Tensor)),
          );
          const expected = naiveMerge(
            weight as Float64Array,
            up as Float64Array,
            down as Float64Array,
            rank,
            alpha / rank,
          );
          expect(merged.weight.shape).toEqual(params.layer.weight.shape);
          (await read(merged.weight)).forEach((value, i) => {
            expect(value).toBeCloseTo(expected[i] as number, 12);
          });
          const attached = attachLora(params, adapters).layer;
          expect(await distance(layer.apply(attached, input), layer.apply(merged, input))).toBeLessThan(1e-12);
        },
      ),
      { numRuns: 60, seed: 1 },
    ));

  const adapters = trained(initLora(base, key(1), everywhere));

  test('is the same in a model', async () => {
    const merged = mergeLora(base, adapters);
    expect(Object.keys(merged.conv)).toEqual(['weight', 'bias']);
    expect(await distance(net.apply(attachLora(base, adapters), x), net.apply(merged, x))).toBeLessThan(1e-12);
    expect(await distance(net.apply(merged, x), net.apply(base, x))).toBeGreaterThan(0.1);
  });

  test('has a strength, and goes away when merged adapters are taken out', async () => {
    const off = net.apply(attachLora(base, adapters, { strength: 0 }), x);
    expect(await read(off)).toEqual(await read(net.apply(base, x)));
    const twice = attachLora(base, adapters, { strength: 2 });
    expect(await distance(net.apply(twice, x), net.apply(mergeLora(base, adapters, { strength: 2 }), x))).toBeLessThan(
      1e-11,
    );
    const back = unmergeLora(mergeLora(base, adapters), adapters);
    for (const [i, { tensor: weight }] of flattenTree(back).entries())
      expect(await distance(weight, flattenTree(base)[i]?.tensor as Tensor)).toBeLessThan(1e-14);
  });

  test('merges into halves with one rounding', async () => {
    const weight = tensor([[1, 1]], { dtype: 'bf16' });
    const adapter = { down: tensor([[1 / 256, 3 / 256]]), up: tensor([[1]]), alpha: 1 };
    const merged = mergeLora({ layer: { weight } }, { layer: adapter }).layer.weight;
    // bf16 has steps of 1/128 above 1, and a tie goes to the even number.
    expect(merged.dtype).toBe('bf16');
    expect(await readStorage(merged)).toEqual(await readStorage(tensor([1, 1 + 2 / 128], { dtype: 'bf16' })));
  });

  test('uses f32 adapters beside bf16 weights, in the dtype of what comes in', () => {
    const layer = linear(3, 2);
    const params = { layer: layer.init(key(0), { dtype: 'bf16' }) };
    const attached = (own: LoraAdapters) => attachLora(params, own).layer;
    const own = initLora(params, key(1), { targets: ['layer'], rank: 1 });
    expect(layer.apply(attached(own), normal(0, 1, 3).cast('bf16')).dtype).toBe('bf16');
    const slopes = grad((given: LoraAdapters) => layer.apply(attached(given), normal(0, 1, 3)).sum())(own);
    expect(slopes.layer?.up.dtype).toBe('f32');
  });
});

describe('gradients by adapters', () => {
  const adapters = trained(initLora(base, key(1), everywhere));
  const loss = (own: LoraAdapters) => net.apply(attachLora(base, own), x).square().sum();

  test('agree with differences', async () => {
    await checkGradients(loss, [await realize(adapters)], { device });
  });

  test('follow from the gradient G of the whole weight: dB = s·G·Aᵀ and dA = s·Bᵀ·G', async () => {
    const whole = grad((params: typeof base) => net.apply(params, x).square().sum())(mergeLora(base, adapters));
    const slopes = grad(loss)(adapters);
    expect(flattenTree(slopes).map(({ path }) => path)).toEqual(flattenTree(adapters).map(({ path }) => path));
    const weights = new Map(flattenTree(whole).map(({ path, tensor: slope }) => [path, slope]));
    for (const [path, { down, up, alpha }] of Object.entries(adapters)) {
      const rank = down.shape[0] as number;
      const flat = (one: Tensor) => one.reshape([one.shape[0] as number, one.size / (one.shape[0] as number)]);
      const slope = flat(weights.get(`${path}.weight`) as Tensor).mul(alpha / rank);
      const own = slopes[path] as (typeof adapters)[string];
      expect(await distance(flat(own.up), slope.matmul(flat(down).transpose()))).toBeLessThan(1e-10);
      expect(await distance(flat(own.down), flat(up).transpose().matmul(slope))).toBeLessThan(1e-10);
    }
  });
});

test('training moves adapters only, in one plan and with flat memory', async () => {
  const wasm = await WasmDevice.open({ threads: 1 });
  const params = await realize(net.init(key(0)), { device: wasm });
  const [input, target] = await realize([random.normal(key(1), [2, 5, 4]), random.normal(key(9), [2, 2, 3, 2])], {
    device: wasm,
  });
  const before = await read(net.apply(params, input));
  const error = (own: LoraAdapters) => net.apply(attachLora(params, own), input).sub(target).square().mean();
  const optimiser = adamW<LoraAdapters>();
  const start = initLora(params, key(1), { targets: ['**'], rank: 2, init: 'gaussian' });
  let state = await realize(optimiser.init(start), { device: wasm });
  const first = await item(error(state.params));
  let [plans, bytes] = [0, 0];
  for (let i = 0; i < 100; i++) {
    state = await realize(optimiser.step(state, grad(error)(state.params), { learningRate: 0.01 }), { donate: state });
    if (i === 0) [plans, bytes] = [wasm.plansCompiled, wasm.memory().bytes];
  }
  expect([wasm.plansCompiled, wasm.memory().bytes]).toEqual([plans, bytes]);
  expect(await item(error(state.params))).toBeLessThan(0.5 * first);
  expect(await read(net.apply(params, input))).toEqual(before);
});
