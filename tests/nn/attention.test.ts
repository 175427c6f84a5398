import { attention, basicTransformerBlock, spatialAttention } from 'diffusion-dpo/nn';
import {
  item,
  key,
  ones,
  openDevice,
  random,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const f64 = { dtype: 'f64' } as const;
const normal = (seed: number, ...shape: number[]): Tensor => random.normal(key(seed), shape, f64);
const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());

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

  test.each([
    ['all heads', [3, 5]],
    ['all heads of each batch', [2, 1, 3, 5]],
    ['each head', [4, 3, 5]],
    ['each head of each batch', [2, 4, 3, 5]],
  ])('a few heads at a time with a mask for %s gives the same', async (_, shape) => {
    const options = { queryDim: 8, heads: 4, headDim: 2 };
    const params = await realize(attention(options).init(key(0), f64));
    const [x, context, mask] = [normal(1, 2, 3, 8), normal(2, 2, 5, 8), normal(3, ...shape)];
    const whole = attention(options).apply(params, x, context, mask);
    for (const sliceSize of [1, 3]) {
      const sliced = attention({ ...options, sliceSize }).apply(params, x, context, mask);
      expect(await distance(sliced, whole)).toBeLessThan(1e-14);
    }
  });

  test('one of two heads at a time, with a mask for each, gives the same', async () => {
    const options = { queryDim: 4, heads: 2, headDim: 2 };
    const params = await realize(attention(options).init(key(0), f64));
    const [x, context] = [normal(1, 2, 3, 4), normal(2, 2, 5, 4)];
    for (const shape of [
      [2, 3, 5],
      [2, 2, 3, 5],
      [2, 1, 5],
    ]) {
      const mask = normal(3, ...shape);
      const whole = attention(options).apply(params, x, context, mask);
      const sliced = attention({ ...options, sliceSize: 1 }).apply(params, x, context, mask);
      expect(await distance(sliced, whole)).toBeLessThan(1e-14);
    }
    // The masks of both heads count.
    const [both, first] = [normal(3, 2, 3, 5), normal(3, 2, 3, 5).sliceAxis(0, 0, 1)];
    const apply = (mask: Tensor) => attention({ ...options, sliceSize: 1 }).apply(params, x, context, mask);
    expect(await distance(apply(both), apply(first))).toBeGreaterThan(1e-3);
  });

  test('by hand: softmax(q·kᵀ/√d)·v of each head, and a projection with a bias', async () => {
    // Two heads of width 1 beside queries of width 2; values are twice the context, all other projections the identity.
    const eye2 = tensor([1, 0, 0, 1], f64).reshape([2, 2]);
    const identity = { weight: eye2 };
    const params = {
      to_q: identity,
      to_k: identity,
      to_v: { weight: eye2.mul(2) },
      to_out: [{ weight: eye2, bias: tensor([0.5, -1], f64) }] as const,
    };
    const x = tensor([1, 2], f64).reshape([1, 1, 2]);
    const context = tensor([0, 1, 1, -1], f64).reshape([1, 2, 2]);
    const out = await read(attention({ queryDim: 2, heads: 2, headDim: 1 }).apply(params as never, x, context));
    const share = (a: number, b: number) => Math.exp(a) / (Math.exp(a) + Math.exp(b));
    // Head 0 sees keys 0 and 1 with the query 1, head 1 keys 1 and −1 with the query 2.
    expect(out[0]).toBeCloseTo(2 * share(1, 0) + 0.5, 12);
    expect(out[1]).toBeCloseTo(2 * share(2, -2) - 2 * share(-2, 2) - 1, 12);
  });

  test('refuses what does not fit, in its own words', () => {
    const options = { queryDim: 4, contextDim: 6, heads: 2, headDim: 2 };
    const layer = attention(options);
    const params = layer.init(key(0), f64);
    const context = normal(2, 2, 5, 6);
    expect(() => layer.apply(params, normal(1, 3, 4), context)).toThrow(
      'attention: tokens must be [batch, tokens, 4], got f64[3, 4]',
    );
    expect(() => layer.apply(params, normal(1, 2, 3, 4))).toThrow(
      'attention: the context must be [2, tokens, 6], got f64[2, 3, 4]',
    );
    expect(() => layer.apply(params, normal(1, 3, 3, 4), context)).toThrow(
      'attention: the context must be [3, tokens, 6], got f64[2, 5, 6]',
    );
    expect(() => attention({ ...options, sliceSize: 0 })).toThrow(
      'attention: sliceSize must be a whole number from 1, got 0',
    );
    expect(() => attention({ ...options, heads: 0 })).toThrow('attention: heads must be a whole number from 1, got 0');
    expect(() => spatialAttention({ channels: 6, heads: 4, groups: 2 })).toThrow(
      'attention: headDim must be a whole number from 1, got 1.5',
    );
  });

  test('of places divides the sum of input and result', async () => {
    const options = { channels: 4, heads: 2, groups: 2 };
    const params = await realize(spatialAttention(options).init(key(0), f64));
    const x = normal(1, 2, 4, 3, 2);
    const halved = spatialAttention({ ...options, rescaleOutputFactor: 2 }).apply(params, x);
    expect(await distance(halved.mul(2), spatialAttention(options).apply(params, x))).toBeLessThan(1e-14);
  });

  test('of places may have heads whose widths do not add up to the channels', () => {
    const layer = spatialAttention({ channels: 6, heads: 2, headDim: 2, groups: 2 });
    const params = layer.init(key(0));
    expect([params.to_q.weight.shape, params.to_out[0].weight.shape]).toEqual([
      [4, 6],
      [6, 4],
    ]);
    expect(layer.apply(params, ones([1, 6, 3, 2])).shape).toEqual([1, 6, 3, 2]);
  });

  test('that looks at a context wants one, even where tokens would fit in its place', () => {
    const options = { contextDim: 4, heads: 2, headDim: 2 };
    const block = basicTransformerBlock({ width: 4, ...options });
    const message = 'basicTransformerBlock: this block needs a context [batch, tokens, 4]';
    expect(() => block.apply(block.init(key(0), f64), normal(1, 2, 3, 4))).toThrow(message);
    const crossing = basicTransformerBlock({ width: 4, ...options, onlyCrossAttention: true });
    expect(() => crossing.apply(crossing.init(key(0), f64), normal(1, 2, 3, 4))).toThrow(message);
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
