import { describe, expect, test } from 'vitest';
import { checkpoint, grad, hvp, valueAndGrad } from '../../autograd/index.ts';
import * as t from '../../tensor/index.ts';

type Tensor = t.Tensor;

const ramp = (...shape: number[]): Tensor =>
  t.tensor(
    Float64Array.from({ length: t.sizeOf(shape) }, (_, i) => Math.sin(i + 1)),
    { shape },
  );
const values = async (tree: unknown): Promise<number[][]> =>
  Promise.all(t.treeLeaves(tree).map(async (x) => [...(await t.read(x))]));

describe('checkpoint leaves gradients as they are', () => {
  const w = ramp(3, 3);
  const x = ramp(2, 3);

  test('through arguments', async () => {
    const block = (x: Tensor, w: Tensor) => t.tanh(t.matmul(x, w));
    const loss = (f: typeof block) => (p: { x: Tensor; w: Tensor }) => t.sum(t.square(f(p.x, p.w)));
    expect(await values(grad(loss(checkpoint(block)))({ x, w }))).toEqual(await values(grad(loss(block))({ x, w })));
  });

  test('through tensors that it closes over', async () => {
    const loss = (save: boolean) => (p: { x: Tensor; w: Tensor }) => {
      const block = (x: Tensor) => t.tanh(t.matmul(x, t.mul(p.w, 2)));
      return t.sum((save ? checkpoint(block) : block)(p.x));
    };
    expect(await values(grad(loss(true))({ x, w }))).toEqual(await values(grad(loss(false))({ x, w })));
  });

  test('through intermediate values that it closes over', async () => {
    const loss = (save: boolean) => (w: Tensor) => {
      const inner = t.exp(w);
      const block = (x: Tensor) => t.tanh(t.matmul(x, inner));
      return t.sum((save ? checkpoint(block) : block)(x));
    };
    expect(await values(grad(loss(true))(w))).toEqual(await values(grad(loss(false))(w)));
  });

  test('nested', async () => {
    const inner = (x: Tensor) => t.sin(t.matmul(x, w));
    const outer = (f: typeof inner) => (x: Tensor) => t.exp(f(f(x)));
    const saved = checkpoint(outer(checkpoint(inner)));
    const plain = outer(inner);
    expect(await values(grad((x: Tensor) => t.sum(saved(x)))(x))).toEqual(
      await values(grad((x: Tensor) => t.sum(plain(x)))(x)),
    );
  });

  test('with several outputs, of which some are unused or integers', async () => {
    const block = (x: Tensor) => ({ a: t.sin(x), unused: t.exp(x), best: t.argMax(x, 1), b: [t.square(x)] as const });
    const loss = (f: typeof block) => (x: Tensor) => {
      const { a, b } = f(x);
      return t.sum(t.mul(a, b[0]));
    };
    expect(await values(grad(loss(checkpoint(block)))(x))).toEqual(await values(grad(loss(block))(x)));
  });

  test('when the result is an argument or a captured tensor as it is', async () => {
    const block = (x: Tensor) => [x, w] as const;
    const loss = (f: typeof block) => (x: Tensor) => t.sum(t.matmul(...f(x)));
    expect(await values(grad(loss(checkpoint(block)))(x))).toEqual(await values(grad(loss(block))(x)));
  });

  test('to the second order', async () => {
    const block = (x: Tensor) => t.sum(t.exp(t.sin(t.matmul(x, w))));
    const v = ramp(2, 3);
    expect(await values(hvp(checkpoint(block), x, v))).toEqual(await values(hvp(block, x, v)));
  });

  test('with random numbers from explicit keys', async () => {
    const key = t.key(7);
    const block = (x: Tensor) => t.mul(x, t.random.uniform(key, [2, 3], { dtype: 'f64' }));
    const loss = (f: typeof block) => (x: Tensor) => t.sum(t.square(f(x)));
    expect(await values(grad(loss(checkpoint(block)))(x))).toEqual(await values(grad(loss(block))(x)));
  });
});

describe('checkpoint saves memory', () => {
  const layers = 20;
  const width = 16;
  const rows = 64;

  /**
   * The peak memory of computing the gradients of a chain of layers, beyond the memory in use before. Gradients of the last
   * layers can be computed first, if they are requested first.
   */
  async function peak(
    save: boolean,
    lastFirst: boolean,
  ): Promise<{ bytes: number; buffers: number; gradients: number[][] }> {
    const device = await t.openDevice('reference');
    const make = (shape: readonly number[], seed: number) =>
      t.tensor(
        Float64Array.from({ length: t.sizeOf(shape) }, (_, i) => Math.sin(seed + i) / 4),
        { shape, device },
      );
    const weights = Array.from({ length: layers }, (_, i) => make([width, width], i));
    const x = make([rows, width], 100);
    // Five intermediate values per layer.
    const layer = (x: Tensor, w: Tensor) => t.tanh(t.mul(t.sigmoid(t.sin(t.exp(t.matmul(x, w)))), 2));
    const applied = save ? checkpoint(layer) : layer;
    const [loss, gradients] = valueAndGrad((weights: readonly Tensor[]) =>
      t.mean(weights.reduce((y, w) => applied(y, w), x)),
    )(weights);
    device.resetPeak();
    const before = device.memory();
    await t.realize([loss, lastFirst ? [...gradients].reverse() : gradients]);
    const { peakBytes, peakBuffers } = device.memory();
    return {
      bytes: peakBytes - before.bytes,
      buffers: peakBuffers - before.buffers,
      gradients: await values(gradients),
    };
  }

  const one = rows * width * 8;

  test('over a chain of layers, for the same gradients', async () => {
    const [plain, saved] = [await peak(false, true), await peak(true, true)];
    expect(saved.gradients).toEqual(plain.gradients);
    // Without checkpointing: four values per layer. With it: the input of each layer, and all values of one layer.
    expect(plain.bytes).toBeGreaterThan(4 * layers * one);
    expect(saved.bytes).toBeLessThan(1.5 * layers * one);
    expect(plain.buffers).toBeGreaterThan(4 * layers);
    expect(saved.buffers).toBeLessThan(1.5 * layers);
  });

  test('also if the gradients of the first layers are computed first, and cotangents have to wait', async () => {
    const [plain, saved] = [await peak(false, false), await peak(true, false)];
    expect(saved.gradients).toEqual(plain.gradients);
    expect(saved.bytes).toBeLessThan(0.6 * plain.bytes);
    expect(saved.buffers).toBeLessThan(0.6 * plain.buffers);
  });
});
