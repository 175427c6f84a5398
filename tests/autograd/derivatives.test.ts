import { describe, expect, test } from 'vitest';
import { grad, hessian, hvp, jacobian, jvp, valueAndGrad, vjp } from '../../autograd/index.ts';
import * as t from '../../tensor/index.ts';

type Tensor = t.Tensor;

const scalar = (value: number): Tensor => t.tensor(value, { dtype: 'f64' });
const vector = (...values: number[]): Tensor => t.tensor(values, { dtype: 'f64' });
/** x₀²·x₁ + sin(x₁). */
const f = (x: Tensor): Tensor => {
  const [a, b] = t.split(x, 2) as [Tensor, Tensor];
  return t.sum(t.add(t.mul(t.square(a), b), t.sin(b)));
};

describe('nesting', () => {
  test('a tensor that a function closes over is a constant', async () => {
    const x = scalar(3);
    expect(await t.item(grad((y: Tensor) => t.mul(x, y))(x))).toBe(3);
  });

  test('perturbations are not confused: d/dx x·(d/dy (x + y)) = 1', async () => {
    const derivative = grad((x: Tensor) => t.mul(x, grad((y: Tensor) => t.add(x, y))(scalar(1))));
    expect(await t.item(derivative(scalar(1)))).toBe(1);
  });

  test('an inner derivative at the outer variable is differentiated through', async () => {
    // d/dx [x · (d/dy x·y² at y = x)] = d/dx 2·x³.
    const derivative = grad((x: Tensor) => t.mul(x, grad((y: Tensor) => t.mul(x, t.square(y)))(x)));
    expect(await t.item(derivative(scalar(2)))).toBe(24);
  });

  test('the same tensor as two arguments', async () => {
    const x = scalar(3);
    const [a, b] = vjp((a: Tensor, b: Tensor) => t.mul(t.square(a), b), x, x).pullback(scalar(1));
    expect([await t.item(a), await t.item(b)]).toEqual([18, 9]);
  });

  test('third derivative of sin', async () => {
    const third = grad(grad(grad((x: Tensor) => t.sin(x))));
    expect(await t.item(third(scalar(0.7)))).toBeCloseTo(-Math.cos(0.7), 14);
  });

  test('fifth derivative of x⁵', async () => {
    let g: (x: Tensor) => Tensor = (x) => t.pow(x, 5);
    for (let i = 0; i < 5; i++) g = grad(g);
    expect(await t.item(g(scalar(-2)))).toBe(120);
  });

  test('a pullback may be used many times', async () => {
    const { pullback } = vjp(t.square, vector(1, 2));
    const [first] = pullback(vector(1, 0));
    const [second] = pullback(vector(0, 1));
    expect([await t.toNested(first), await t.toNested(second)]).toEqual([
      [2, 0],
      [0, 4],
    ]);
  });

  test('derivatives of realized graphs and of pending ones agree', async () => {
    const pending = t.exp(vector(1, 2));
    const lazy = await t.read(grad((x: Tensor) => t.sum(t.sin(x)))(pending));
    await t.realize(pending);
    expect(await t.read(grad((x: Tensor) => t.sum(t.sin(x)))(pending))).toEqual(lazy);
  });
});

describe('jvp', () => {
  test('is the derivative along a direction', async () => {
    const [x, v] = [vector(0.5, -1.5), vector(1, 2)];
    const { value, tangent } = jvp(f, [x], [v]);
    const h = 1e-5;
    const at = (step: number) => t.item(f(t.add(x, t.mul(v, step))));
    expect(await t.item(value)).toBe(await at(0));
    expect(await t.item(tangent)).toBeCloseTo(((await at(h)) - (await at(-h))) / (2 * h), 8);
  });

  test('of trees', async () => {
    const g = ({ a, b }: { a: Tensor; b: Tensor }) => ({ product: t.mul(a, b), sine: t.sin(a) });
    const { tangent } = jvp(g, [{ a: scalar(2), b: scalar(3) }], [{ a: scalar(1), b: scalar(10) }]);
    expect(await t.item(tangent.product)).toBe(23);
    expect(await t.item(tangent.sine)).toBeCloseTo(Math.cos(2), 15);
  });

  test('of a function that does not depend on its input is zero', async () => {
    const { tangent } = jvp((x: Tensor) => [t.ones([2], { dtype: 'f64' }), x], [scalar(1)], [scalar(5)]);
    expect(await Promise.all(tangent.map(t.toNested))).toEqual([[0, 0], 5]);
  });
});

describe('matrices of derivatives', () => {
  test('jacobian, by hand', async () => {
    // (x₀·x₁, x₀², 3) by (x₀, x₁).
    const g = (x: Tensor) => {
      const [a, b] = t.split(x, 2) as [Tensor, Tensor];
      return t.concat([t.mul(a, b), t.square(a), vector(3)]);
    };
    expect(await t.toNested(jacobian(g)(vector(2, 5)))).toEqual([
      [5, 2],
      [4, 0],
      [0, 0],
    ]);
  });

  test('jacobian of a tree has the shape [...output, ...leaf]', async () => {
    const { a, b } = jacobian(({ a, b }: { a: Tensor; b: Tensor }) => t.outer(a, b))({
      a: vector(1, 2),
      b: vector(3, 4, 5),
    });
    expect([a.shape, b.shape]).toEqual([
      [2, 3, 2],
      [2, 3, 3],
    ]);
    expect(await t.toNested(a)).toEqual([
      [
        [3, 0],
        [4, 0],
        [5, 0],
      ],
      [
        [0, 3],
        [0, 4],
        [0, 5],
      ],
    ]);
  });

  test('jacobian of an empty output', () => {
    expect(jacobian((x: Tensor) => t.slice(x, [0], [0]))(vector(1, 2)).shape).toEqual([0, 2]);
  });

  test('hessian, by hand', async () => {
    // [[2·x₁, 2·x₀], [2·x₀, −sin x₁]].
    const matrix = await t.read(hessian(f)(vector(3, 0.5)));
    expect([...matrix]).toEqual([1, 6, 6, -Math.sin(0.5)]);
  });

  test('hvp is the hessian times a vector', async () => {
    const [x, v] = [vector(3, 0.5), vector(2, -1)];
    const product = await t.read(t.matmul(hessian(f)(x), v));
    const direct = await t.read(hvp(f, x, v));
    direct.forEach((value, i) => {
      expect(value).toBeCloseTo(product[i] as number, 13);
    });
  });
});

describe('trees', () => {
  const parameters = {
    layers: [
      { weight: t.full([2], 3), name: 'first' },
      { weight: t.full([2], 5), name: 'second' },
    ],
    rate: 0.5,
  };
  const loss = (p: typeof parameters, x: Tensor) =>
    t.sum(
      t.mul(
        p.layers.reduce((y, { weight }) => t.mul(y, weight), x),
        p.rate,
      ),
    );

  test('gradients have the structure of the parameters, other leaves stay', async () => {
    const gradients = grad(loss)(parameters, t.tensor([1, 2]));
    expect(gradients.rate).toBe(0.5);
    expect(gradients.layers.map(({ name }) => name)).toEqual(['first', 'second']);
    expect(await Promise.all(gradients.layers.map(({ weight }) => t.toNested(weight)))).toEqual([
      [2.5, 5],
      [1.5, 3],
    ]);
  });

  test('valueAndGrad returns both, and with hasAux the rest', async () => {
    const [value, gradients] = valueAndGrad(loss)(parameters, t.tensor([1, 2]));
    expect(await t.item(value)).toBe(22.5);
    expect(gradients.layers).toHaveLength(2);
    const withAux = (x: Tensor) => [t.sum(t.square(x)), { doubled: t.mul(x, 2), note: 'seen' }] as const;
    const [[total, aux], gradient] = valueAndGrad(withAux, { hasAux: true })(t.tensor([1, 2]));
    expect(await t.item(total)).toBe(5);
    expect(await t.toNested(aux.doubled)).toEqual([2, 4]);
    expect(aux.note).toBe('seen');
    expect(await t.toNested(gradient)).toEqual([2, 4]);
  });

  test('a tensor that occurs twice gets two gradients', async () => {
    const x = t.tensor([1, 2]);
    const gradients = grad(({ a, b }: { a: Tensor; b: Tensor }) => t.sum(t.mul(a, t.square(b))))({ a: x, b: x });
    expect([await t.toNested(gradients.a), await t.toNested(gradients.b)]).toEqual([
      [1, 4],
      [2, 8],
    ]);
  });
});
