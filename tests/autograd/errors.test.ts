import { describe, expect, test } from 'vitest';
import { customGradient, grad, jacobian, jvp, valueAndGrad, vjp } from '../../autograd/index.ts';
import * as t from '../../tensor/index.ts';

type Tensor = t.Tensor;

const x = t.tensor([1, 2]);

describe('refuses', () => {
  test('integers, by the name of the leaf', () => {
    const ids = t.tensor([1, 2], { dtype: 'i32' });
    expect(() => grad((y: Tensor) => t.sum(y))(ids)).toThrow(
      'grad: the input is i32[2], and only floats have gradients',
    );
    expect(() => grad(({ a }: { a: { ids: Tensor }; b: Tensor }) => t.sum(a.ids))({ a: { ids }, b: x })).toThrow(
      "'a.ids' is i32[2]",
    );
    expect(() => vjp((y: Tensor, z: Tensor) => t.gather(y, z, 0), x, ids)).toThrow("vjp: '1' is i32[2]");
    expect(() => jacobian((y: Tensor) => y)(t.tensor([true]))).toThrow('bool[1]');
  });

  test('losses that are not float scalars', () => {
    expect(() => grad((y: Tensor) => t.square(y))(x)).toThrow('must return a float scalar, got f32[2]');
    expect(() => grad((y: Tensor) => t.argMax(y, 0))(x)).toThrow('got i32[]');
    expect(() => grad(() => 3 as unknown as Tensor)(x)).toThrow('must return a scalar tensor');
    expect(() => valueAndGrad((y: Tensor) => [t.sum(y), 1] as unknown as Tensor)(x)).toThrow('hasAux');
  });

  test('cotangents and tangents that do not fit', () => {
    expect(() => vjp(t.square, x).pullback(t.ones([3]))).toThrow('must be f32[2], got f32[3]');
    expect(() => vjp(t.square, x).pullback(t.ones([2], { dtype: 'f64' }))).toThrow('got f64[2]');
    expect(() => vjp((y: Tensor) => ({ y }), x).pullback({} as { y: Tensor })).toThrow(
      "'y' of the value must be f32[2], got nothing",
    );
    expect(() => jvp(t.square, [x], [t.ones([1])])).toThrow('jvp: tangent 0 must be f32[2]');
  });

  test('jacobians of integers', () => {
    expect(() => jacobian((y: Tensor) => t.argSort(y))(x)).toThrow(
      'jacobian: the function must return floats, got i32[2]',
    );
  });

  test('rules that return too few, too many or ill-fitting gradients', () => {
    type Rule = (g: Tensor) => [Tensor, Tensor];
    const product = (rule: unknown) => customGradient((a: Tensor, b: Tensor) => t.mul(a, b), rule as Rule);
    const run = (rule: unknown) => () => grad((y: Tensor) => t.sum(product(rule)(y, y)))(x);
    expect(run((g: Tensor) => [g])).toThrow('must return 2 gradients, got 1');
    expect(run((g: Tensor) => [g, g, g])).toThrow('must return 2 gradients, got 3');
    expect(run((g: Tensor) => [g, { a: g, b: g }])).toThrow('gradient 1');
    expect(run((g: Tensor) => [g, t.sum(g)])).toThrow('a gradient of f32[] was given for f32[2]');
    expect(run((g: Tensor) => [g, t.cast(g, 'f64')])).toThrow('a gradient of f64[2] was given for f32[2]');
  });
});
