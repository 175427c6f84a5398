import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { entry } from './naive.ts';
import { compute, type DeviceOf, floats, had } from './support.ts';

const inf = Number.POSITIVE_INFINITY;

/** NaN, the infinities and −0, by IEEE 754 and the docstrings. */
export function specials(device: DeviceOf): void {
  /** Compares with expected values and tells −0 from 0. */
  const gives = async (f: (x: t.Tensor) => t.Tensor, inputs: readonly number[], outputs: readonly number[]) => {
    for (const dtype of had(device(), floats)) {
      const values = await compute(device(), f(t.tensor([...inputs], { dtype })));
      const wrong = values.findIndex((value, i) => !Object.is(value, entry(outputs, i)));
      expect(wrong, `${dtype}: f(${inputs[wrong]}) = ${values[wrong]}, not ${outputs[wrong]}`).toBe(-1);
    }
  };
  const all = [NaN, inf, -inf, 0, -0];

  const rows: readonly (readonly [string, (x: t.Tensor) => t.Tensor, readonly number[]])[] = [
    ['neg', t.neg, [NaN, -inf, inf, -0, 0]],
    ['exp', t.exp, [NaN, inf, 0, 1, 1]],
    ['expm1', t.expm1, [NaN, inf, -1, 0, -0]],
    ['log', t.log, [NaN, inf, NaN, -inf, -inf]],
    ['log1p', t.log1p, [NaN, inf, NaN, 0, -0]],
    ['sqrt', t.sqrt, [NaN, inf, NaN, 0, -0]],
    ['rsqrt', t.rsqrt, [NaN, 0, NaN, inf, -inf]],
    ['reciprocal', t.reciprocal, [NaN, 0, -0, inf, -inf]],
    ['square', t.square, [NaN, inf, inf, 0, 0]],
    ['sin', t.sin, [NaN, NaN, NaN, 0, -0]],
    ['cos', t.cos, [NaN, NaN, NaN, 1, 1]],
    ['tan', t.tan, [NaN, NaN, NaN, 0, -0]],
    ['tanh', t.tanh, [NaN, 1, -1, 0, -0]],
    ['sigmoid', t.sigmoid, [NaN, 1, 0, 0.5, 0.5]],
    ['erf', t.erf, [NaN, 1, -1, 0, -0]],
    ['abs', t.abs, [NaN, inf, inf, 0, 0]],
    ['sign', t.sign, [0, 1, -1, 0, 0]],
    ['floor', t.floor, [NaN, inf, -inf, 0, -0]],
    ['ceil', t.ceil, [NaN, inf, -inf, 0, -0]],
    ['trunc', t.trunc, [NaN, inf, -inf, 0, -0]],
    ['round', t.round, [NaN, inf, -inf, 0, -0]],
    ['isNaN', t.isNaN, [1, 0, 0, 0, 0]],
    ['isFinite', t.isFinite, [0, 0, 0, 1, 1]],
    ['relu', t.relu, [NaN, inf, 0, 0, 0]],
    ['clamp', (x) => t.clamp(x, -1, 1), [NaN, 1, -1, 0, -0]],
    ['0 · x', (x) => t.mul(x, 0), [NaN, NaN, NaN, 0, -0]],
    ['1 / x', (x) => t.div(1, x), [NaN, 0, -0, inf, -inf]],
    ['x − x', (x) => t.sub(x, x), [NaN, NaN, NaN, 0, 0]],
    ['x⁰', (x) => t.pow(x, 0), [1, 1, 1, 1, 1]],
    ['1ˣ', (x) => t.pow(1, x), [1, 1, 1, 1, 1]],
    ['(−1)ˣ', (x) => t.pow(-1, x), [NaN, 1, 1, 1, 1]],
    ['2ˣ', (x) => t.pow(2, x), [NaN, inf, 0, 1, 1]],
    ['x³', (x) => t.pow(x, 3), [NaN, inf, -inf, 0, -0]],
    ['x⁻¹', (x) => t.pow(x, -1), [NaN, 0, -0, inf, -inf]],
    ['maximum(x, 1)', (x) => t.maximum(x, 1), [NaN, inf, 1, 1, 1]],
    ['minimum(x, 1)', (x) => t.minimum(x, 1), [NaN, 1, -inf, 0, -0]],
    ['x = x', (x) => t.equal(x, x), [0, 1, 1, 1, 1]],
    ['x ≠ x', (x) => t.notEqual(x, x), [1, 0, 0, 0, 0]],
    ['x < 1', (x) => t.less(x, 1), [0, 0, 1, 1, 1]],
    ['x ≥ 0', (x) => t.greaterEqual(x, 0), [0, 1, 0, 1, 1]],
    ['x ≤ 0', (x) => t.lessEqual(x, 0), [0, 0, 1, 1, 1]],
    ['x > −1', (x) => t.greater(x, -1), [0, 1, 0, 1, 1]],
    ['to bool', (x) => t.cast(x, 'bool'), [1, 1, 1, 0, 0]],
  ];
  for (const [name, f, outputs] of rows) test(`${name} of NaN, ∞, −∞, 0 and −0`, () => gives(f, all, outputs));

  test('softplus, logSigmoid and silu at the infinities', async () => {
    await gives(t.softplus, [NaN, inf, -inf], [NaN, inf, 0]);
    await gives((x) => t.add(t.logSigmoid(x), 0), [NaN, inf, -inf], [NaN, 0, -inf]);
    await gives(t.silu, [NaN, inf, -inf], [NaN, inf, NaN]);
  });

  test('remainders by zero and infinity, and of what is not finite', async () => {
    // Shaders may assume that infinity and NaN do not occur, but division by 0 is defined here.
    await gives((x) => t.remainder(x, 0), [1, 0, -2], [NaN, NaN, NaN]);
    await gives((x) => t.remainder(x, -0), [1, 0, -2], [NaN, NaN, NaN]);
    if (device().name === 'webgpu') return;
    await gives((x) => t.remainder(x, inf), [5.5, -5.5, 0, -0, inf, -inf, NaN], [5.5, inf, 0, 0, NaN, NaN, NaN]);
    await gives((x) => t.remainder(x, -inf), [5.5, -5.5, 0, -0, inf, -inf, NaN], [-inf, -5.5, -0, -0, NaN, NaN, NaN]);
    await gives((x) => t.remainder(5.5, x), [inf, -inf, NaN, 0, -0], [5.5, -inf, NaN, NaN, NaN]);
    await gives((x) => t.remainder(x, 3), [inf, -inf, NaN], [NaN, NaN, NaN]);
  });

  test('a power with a negative base and a fraction is NaN', () =>
    gives((x) => t.pow(x, 0.5), [-1, -4, 4], [NaN, NaN, 2]));

  test('NaN wins every reduction that orders', async () => {
    for (const dtype of had(device(), floats)) {
      const x = t.tensor([1, NaN, 3, NaN], { dtype });
      expect(await compute(device(), t.max(x))).toEqual([NaN]);
      expect(await compute(device(), t.min(x))).toEqual([NaN]);
      expect(await compute(device(), t.argMax(x, 0))).toEqual([1]);
      expect(await compute(device(), t.argMin(x, 0))).toEqual([1]);
      expect(await compute(device(), t.sum(x))).toEqual([NaN]);
      expect(await compute(device(), t.sort(x))).toEqual([1, 3, NaN, NaN]);
      expect(await compute(device(), t.argSort(x))).toEqual([0, 2, 1, 3]);
      expect(await compute(device(), t.argSort(x, 0, { descending: true }))).toEqual([1, 3, 2, 0]);
      expect(await compute(device(), t.topK(x, 2).indices)).toEqual([1, 3]);
    }
  });

  test('infinities in reductions', async () => {
    for (const dtype of had(device(), floats)) {
      const x = t.tensor([-inf, -inf, -inf], { dtype });
      expect(await compute(device(), t.max(x))).toEqual([-inf]);
      expect(await compute(device(), t.logSumExp(x))).toEqual([-inf]);
      expect(await compute(device(), t.softmax(x))).toEqual([NaN, NaN, NaN]);
      const y = t.tensor([-inf, 0, -inf], { dtype });
      expect(await compute(device(), t.softmax(y))).toEqual([0, 1, 0]);
      expect(await compute(device(), t.logSoftmax(y))).toEqual([-inf, 0, -inf]);
      expect(await compute(device(), t.logSumExp(t.tensor([inf, 0], { dtype })))).toEqual([inf]);
      expect(await compute(device(), t.sum(t.tensor([inf, -inf], { dtype })))).toEqual([NaN]);
    }
  });

  test('halves overflow to infinity and keep subnormals', async () => {
    const x = t.tensor([65504, 65504, 2 ** -24], { dtype: 'f16' });
    const y = t.tensor([15.9375, 16, 2 ** -24], { dtype: 'f16' });
    // 65504 + 15.9375 is below the half-way point 65520; 65504 + 16 is on it and rounds up, to infinity.
    expect(await compute(device(), t.add(x, y))).toEqual([65504, inf, 2 ** -23]);
    expect(await compute(device(), t.mul(x, t.tensor([1, 2, 0.5], { dtype: 'f16' })))).toEqual([65504, inf, 0]);
  });
}
