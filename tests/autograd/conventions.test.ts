import { describe, expect, test } from 'vitest';
import { grad, stopGradient } from '../../autograd/index.ts';
import * as t from '../../tensor/index.ts';

type Tensor = t.Tensor;

/** The gradient of Σ f(x) at some numbers. The expected values are PyTorch's unless a comment says otherwise. */
async function slopes(f: (x: Tensor) => Tensor, at: readonly number[]): Promise<number[]> {
  const x = t.tensor(at, { dtype: 'f64' });
  const gradient = await t.read(grad((x: Tensor) => t.sum(f(x)))(x));
  // The sign of a zero does not count.
  return [...gradient].map((slope) => slope + 0);
}

const curvatures = (f: (x: Tensor) => Tensor, at: readonly number[]): Promise<number[]> =>
  slopes((x) => grad((y: Tensor) => t.sum(f(y)))(x), at);

const both = async (f: (a: Tensor, b: Tensor) => Tensor, a: number, b: number): Promise<number[]> => {
  const scalars = [a, b].map((value) => t.tensor(value, { dtype: 'f64' })) as [Tensor, Tensor];
  const gradients = grad(([a, b]: [Tensor, Tensor]) => f(a, b))(scalars);
  return Promise.all(gradients.map(async (gradient) => (await t.item(gradient)) + 0));
};

const nan = Number.NaN;
const infinity = Number.POSITIVE_INFINITY;

describe('kinks', () => {
  test.each([
    ['relu at 0', t.relu, [-1, 0, 1], [0, 0, 1]],
    ['abs at 0', t.abs, [-1, 0, 1], [-1, 0, 1]],
    ['sign', t.sign, [-1, 0, 1], [0, 0, 0]],
    ['clamp on its bounds', (x: Tensor) => t.clamp(x, 0, 1), [-0.5, 0, 0.5, 1, 1.5], [0, 1, 1, 1, 0]],
    ['floor', t.floor, [0, 0.5], [0, 0]],
    ['round', t.round, [0.5, 1.2], [0, 0]],
    ['max over ties (amax)', (x: Tensor) => t.max(x), [1, 3, 3, 3], [0, 1 / 3, 1 / 3, 1 / 3]],
    ['min over ties (amin)', (x: Tensor) => t.min(x), [1, 1, 3], [0.5, 0.5, 0]],
    [
      'sort of ties: the order is stable',
      (x: Tensor) => t.mul(t.sort(x), t.tensor([1, 2, 3], { dtype: 'f64' })),
      [2, 1, 1],
      [3, 1, 2],
    ],
  ])('%s', async (_, f, at, expected) => {
    expect(await slopes(f, at)).toEqual(expected);
  });

  test('maximum and minimum share ties in halves', async () => {
    expect(await both(t.maximum, 2, 2)).toEqual([0.5, 0.5]);
    expect(await both(t.minimum, 2, 2)).toEqual([0.5, 0.5]);
    expect(await both(t.maximum, 3, 2)).toEqual([1, 0]);
    expect(await both(t.minimum, 3, 2)).toEqual([0, 1]);
  });

  test('maximum and minimum give the whole gradient to both where one is NaN', async () => {
    for (const f of [t.maximum, t.minimum]) {
      expect(await both(f, nan, 2)).toEqual([1, 1]);
      expect(await both(f, 2, nan)).toEqual([1, 1]);
      expect(await both(f, nan, nan)).toEqual([1, 1]);
    }
  });

  test('max and min over axes share the gradient among the NaN of a slice', async () => {
    for (const f of [t.max, t.min]) {
      expect(await slopes((x) => f(x), [1, nan, 3, nan])).toEqual([0, 0.5, 0, 0.5]);
      const rows = (x: Tensor) => t.mul(f(t.reshape(x, [2, 2]), 1), t.tensor([2, 3], { dtype: 'f64' }));
      expect(await slopes(rows, [nan, 5, 7, 7])).toEqual([2, 0, 1.5, 1.5]);
    }
  });

  test('remainder: 1 by the dividend, minus the whole quotient by the divisor', async () => {
    expect(await both(t.remainder, 5.5, 2)).toEqual([1, -2]);
    expect(await both(t.remainder, -5.5, 2)).toEqual([1, 3]);
    // 1 / 0.1 rounds to 10, but 0.1 is a little more than a tenth.
    expect(await both(t.remainder, 1, 0.1)).toEqual([1, -9]);
    expect(await both(t.remainder, 6, 3)).toEqual([1, -2]);
    expect(await both(t.remainder, -6, 3)).toEqual([1, 2]);
    expect(await both(t.remainder, -1e-30, 3)).toEqual([1, 1]);
    expect(await both(t.remainder, 5.5, infinity)).toEqual([1, 0]);
    expect(await both(t.remainder, -5.5, infinity)).toEqual([1, 1]);
    expect(await both(t.remainder, 2 ** 60, 3)).toEqual([1, -(2 ** 60) / 3 - 0]);
  });

  test('maxPool2d: the first of equal elements gets all', async () => {
    const gradient = grad((x: Tensor) => t.sum(t.maxPool2d(x, { kernel: 2 })))(t.ones([1, 1, 2, 2]));
    expect([...(await t.read(gradient))]).toEqual([1, 0, 0, 0]);
  });
});

describe('infinite slopes', () => {
  test.each([
    ['sqrt at 0', t.sqrt, [0, 4], [infinity, 0.25]],
    ['log at 0', t.log, [0, 2], [infinity, 0.5]],
    ['sqrt at 0, not wanted: 0·∞', (x: Tensor) => t.mul(t.sqrt(x), 0), [0], [nan]],
    ['reciprocal at 0', t.reciprocal, [0], [-infinity]],
    [
      'where: the branch not taken makes 0·∞',
      (x: Tensor) => t.where(t.greater(x, 0), t.sqrt(x), 0),
      [0, 4],
      [nan, 0.25],
    ],
    [
      'where: a guarded input does not',
      (x: Tensor) => t.where(t.greater(x, 0), t.sqrt(t.where(t.greater(x, 0), x, 1)), 0),
      [0, 4],
      [0, 0.25],
    ],
    ['where: NaN in the branch not taken stays there', (x: Tensor) => t.where(t.isNaN(x), 0, x), [nan, 2], [0, 1]],
  ])('%s', async (_, f, at, expected) => {
    expect(await slopes(f, at)).toEqual(expected);
  });
});

describe('pow', () => {
  test('at a base of zero', async () => {
    expect(await slopes((x) => t.pow(x, 2), [0])).toEqual([0]);
    expect(await slopes((x) => t.pow(x, 1), [0])).toEqual([1]);
    expect(await slopes((x) => t.pow(x, 0.5), [0])).toEqual([infinity]);
    expect(await slopes((x) => t.pow(x, -1), [0])).toEqual([-infinity]);
    expect(await both(t.pow, 0, 2)).toEqual([0, 0]);
    expect(await both(t.pow, 0, 0)).toEqual([0, 0]);
  });

  test('at an exponent of zero', async () => {
    expect(await slopes((x) => t.pow(x, 0), [0, 2, nan, infinity, -1])).toEqual([0, 0, 0, 0, 0]);
    expect(await both(t.pow, 2, 0)).toEqual([0, Math.log(2)]);
  });

  test('of a negative base', async () => {
    expect(await slopes((x) => t.pow(x, 3), [-2])).toEqual([12]);
    expect(await both(t.pow, -2, 3)).toEqual([12, nan]);
  });

  // PyTorch gives 0: it masks b·a^(b−1) where b is 0, and so drops its dependence on b.
  test('its mixed derivative at an exponent of zero is 1/a', async () => {
    const mixed = grad((b: Tensor) => grad((a: Tensor) => t.pow(a, b))(t.tensor(4, { dtype: 'f64' })));
    expect(await t.item(mixed(t.tensor(0, { dtype: 'f64' })))).toBe(0.25);
  });

  test('second derivatives of squares', async () => {
    expect(await curvatures((x) => t.pow(x, 2), [0, 3])).toEqual([2, 2]);
    expect(await curvatures(t.square, [0, 3])).toEqual([2, 2]);
  });
});

describe('softmax and related functions', () => {
  test('second derivatives at 0', async () => {
    expect(await curvatures(t.logSigmoid, [0])).toEqual([-0.25]);
    expect(await curvatures(t.softplus, [0])).toEqual([0.25]);
    expect(await curvatures(t.sigmoid, [0])).toEqual([0]);
  });

  test('do not overflow', async () => {
    expect(await slopes(t.logSigmoid, [-1000, 1000])).toEqual([1, 0]);
    expect(await slopes(t.softplus, [-1000, 1000])).toEqual([0, 1]);
    expect(await slopes((x) => t.logSumExp(x), [1000, 1000])).toEqual([0.5, 0.5]);
  });

  test('a logit of −∞ has no share', async () => {
    const first = (x: Tensor) => t.slice(t.softmax(x), [0], [1]);
    const [a, b, c] = (await slopes(first, [0, -infinity, 0])) as [number, number, number];
    expect([a, b, c]).toEqual([0.25, 0, -0.25]);
    expect(await slopes((x) => t.logSumExp(x), [0, -infinity])).toEqual([1, 0]);
  });

  test('logits that are all −∞ give NaN, as value and gradient', async () => {
    expect(await slopes((x) => t.softmax(x), [-infinity, -infinity])).toEqual([nan, nan]);
  });
});

describe('a function that does not depend on its input', () => {
  test('has zeros for a gradient', async () => {
    const gradients = grad(({ a, b }: { a: Tensor; b: Tensor }) => t.sum(t.mul(a, stopGradient(b))))({
      a: t.tensor([1, 2]),
      b: t.tensor([3, 4]),
    });
    expect(await t.toNested(gradients.a)).toEqual([3, 4]);
    expect(await t.toNested(gradients.b)).toEqual([0, 0]);
    expect(await t.toNested(grad((x: Tensor) => t.sum(t.zerosLike(x)))(t.ones([2])))).toEqual([0, 0]);
  });

  test('casts to integers and comparisons cut gradients off', async () => {
    expect(await slopes((x) => t.cast(t.cast(x, 'i32'), 'f64'), [1.5, 2.5])).toEqual([0, 0]);
    expect(await slopes((x) => t.cast(t.greater(x, 0), 'f64'), [1.5])).toEqual([0]);
    expect(await slopes((x) => t.mul(x, t.cast(t.argMax(x, 0), 'f64')), [1, 5, 2])).toEqual([1, 1, 1]);
  });

  test('casts between floats pass them, in the dtype of the input', async () => {
    const gradient = grad((x: Tensor) => t.sum(t.cast(t.mul(t.cast(x, 'f32'), 3), 'f16')))(
      t.ones([2], { dtype: 'f64' }),
    );
    expect(gradient.dtype).toBe('f64');
    expect(await t.toNested(gradient)).toEqual([3, 3]);
  });

  test('stopGradient keeps the value, to any order', async () => {
    expect(await slopes((x) => t.mul(x, stopGradient(x)), [3])).toEqual([3]);
    expect(await curvatures((x) => t.mul(x, stopGradient(x)), [3])).toEqual([0]);
  });

  test('a tensor without elements has a gradient without elements', async () => {
    const gradient = grad((x: Tensor) => t.sum(t.exp(t.matmul(x, t.zeros([0, 2])))))(t.zeros([3, 0]));
    expect(gradient.shape).toEqual([3, 0]);
    expect((await t.read(gradient)).length).toBe(0);
  });
});
