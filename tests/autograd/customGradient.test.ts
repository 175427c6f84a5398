import { describe, expect, test } from 'vitest';
import { customGradient, grad, vjp } from '../../autograd/index.ts';
import * as t from '../../tensor/index.ts';

type Tensor = t.Tensor;

const vector = (...values: number[]): Tensor => t.tensor(values, { dtype: 'f64' });
const slopes = async (f: (x: Tensor) => Tensor, x: Tensor): Promise<number[]> => [
  ...(await t.read(grad((y: Tensor) => t.sum(f(y)))(x))),
];

describe('customGradient', () => {
  test('its rule is used instead of the graph', async () => {
    const odd = customGradient(
      (x: Tensor) => t.square(x),
      (g) => [t.mul(g, 100)],
    );
    expect(await t.toNested(odd(vector(1, 2)))).toEqual([1, 4]);
    expect(await slopes(odd, vector(1, 2))).toEqual([100, 100]);
    expect(await slopes((x) => t.mul(odd(t.mul(x, 2)), 3), vector(1))).toEqual([600]);
  });

  test('a straight-through estimator', async () => {
    const round = customGradient(
      (x: Tensor) => t.round(x),
      (g) => [g],
    );
    expect(await slopes((x) => t.square(round(x)), vector(1.4, 2.6))).toEqual([2, 6]);
  });

  test('second derivatives go through the rule', async () => {
    // x² with the derivative x³, whose derivative is 3·x².
    const odd = customGradient(
      (x: Tensor) => t.square(x),
      (g, { args: [x] }) => [t.mul(g, t.pow(x, 3))],
    );
    const first = (x: Tensor) => grad((y: Tensor) => t.sum(odd(y)))(x);
    expect(await slopes(first, vector(2))).toEqual([12]);
  });

  test('its rule gets the value', async () => {
    const exp = customGradient(
      (x: Tensor) => t.exp(x),
      (g, { value }) => [t.mul(g, value)],
    );
    const values = Array.from(await t.read(t.exp(vector(0, 1))));
    expect(await slopes(exp, vector(0, 1))).toEqual(values);
    const second = (x: Tensor) => grad((y: Tensor) => t.sum(exp(y)))(x);
    expect(await slopes(second, vector(0, 1))).toEqual(values);
  });

  test('takes and returns trees; unused outputs have zero cotangents', async () => {
    type Pair = { readonly a: Tensor; readonly b: Tensor };
    const swap = customGradient(
      ({ a, b }: Pair) => ({ sum: t.add(a, b), product: t.mul(a, b) }),
      (g, { args: [{ a, b }] }) => [{ a: t.add(g.sum, t.mul(g.product, b)), b: t.add(g.sum, t.mul(g.product, a)) }],
    );
    const pair = { a: vector(2), b: vector(5) };
    const used = grad((p: Pair) => t.sum(swap(p).product))(pair);
    expect([await t.item(used.a), await t.item(used.b)]).toEqual([5, 2]);
    const both = grad((p: Pair) => t.sum(t.add(swap(p).product, swap(p).sum)))(pair);
    expect([await t.item(both.a), await t.item(both.b)]).toEqual([6, 3]);
  });

  test('undefined stands for zero, and arguments may be anything', async () => {
    const scale = customGradient(
      (x: Tensor, factor: number, ids: Tensor) => t.mul(t.take(x, ids), factor),
      (g, { args: [x, factor, ids] }) => [t.scatterAdd(t.zerosLike(x), ids, t.mul(g, factor), 0), undefined, undefined],
    );
    const ids = t.tensor([1, 1], { dtype: 'i32' });
    expect(await slopes((x) => scale(x, 3, ids), vector(1, 2))).toEqual([0, 6]);
  });

  test('tensors that it closes over get no gradient', async () => {
    const x = vector(3);
    const closed = (w: Tensor) =>
      customGradient(
        (y: Tensor) => t.mul(y, w),
        (g) => [t.mul(g, stop(w))],
      )(x);
    const stop = (w: Tensor) => w;
    expect(await slopes(closed, vector(2))).toEqual([0]);
  });

  test('with vjp, the pullback is the rule', async () => {
    const odd = customGradient(
      (x: Tensor) => x,
      (g) => [t.mul(g, -1)],
    );
    const { pullback } = vjp(odd, vector(1, 2));
    expect(await t.toNested(pullback(vector(5, 7))[0])).toEqual([-5, -7]);
  });
});
