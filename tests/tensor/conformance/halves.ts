import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { entry, generator } from './naive.ts';
import { compute, type DeviceOf, had, stored } from './support.ts';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Composed operators and their formulas. */
const composed: Readonly<Record<string, readonly [(x: t.Tensor) => t.Tensor, (x: number) => number]>> = {
  rsqrt: [t.rsqrt, (x) => 1 / Math.sqrt(x)],
  tan: [t.tan, Math.tan],
  silu: [t.silu, (x) => x * sigmoid(x)],
  geluTanh: [t.geluTanh, (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
  quickGelu: [t.quickGelu, (x) => x * sigmoid(1.702 * x)],
  'remainder by 0.3': [(x) => t.remainder(x, 0.3), (x) => x],
  mseLoss: [(x) => t.mseLoss(x, t.full(x.shape, 0.7, { dtype: x.dtype }), { reduction: 'none' }), (x) => x],
};

/** Halves are for storage: every operator computes in f32 and rounds its result once. */
export function halves(device: DeviceOf): void {
  for (const [name, [apply, f]] of Object.entries(composed)) {
    test(`${name} rounds halves once`, async () => {
      const random = generator(1);
      const count = 4000;
      for (const dtype of had(device(), ['f16', 'bf16'])) {
        const inputs = Array.from({ length: count }, () => stored(dtype, 0.1 + 1.4 * random()));
        const parameter = (value: number) => stored(dtype, value);
        const exact = (x: number): number => {
          if (name === 'remainder by 0.3') return x % parameter(0.3);
          return name === 'mseLoss' ? (x - parameter(0.7)) ** 2 : f(x);
        };
        const values = await compute(device(), apply(t.tensor(inputs, { dtype })));
        const wrong = values.filter((value, i) => value !== stored(dtype, exact(entry(inputs, i)))).length;
        // A few ulp of f32 change one result in a thousand, a second rounding to a half one in five.
        expect(wrong).toBeLessThanOrEqual(count / 200);
      }
    });
  }

  test('elementwise primitives are the f32 result, rounded', async () => {
    const random = generator(2);
    for (const dtype of had(device(), ['f16', 'bf16'])) {
      const inputs = Array.from({ length: 500 }, () => stored(dtype, 0.1 + 3 * random()));
      const half = t.tensor(inputs, { dtype });
      const wide = t.tensor(inputs);
      for (const f of [t.exp, t.log, t.sqrt, t.sin, t.tanh, t.sigmoid, t.erf, t.expm1, t.log1p, t.softplus, t.square]) {
        const rounded = (await compute(device(), f(wide))).map((value) => stored(dtype, value));
        expect(await compute(device(), f(half))).toEqual(rounded);
      }
    }
  });
}
