import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { build, compensated, entry, lineAt } from './naive.ts';
import { fromFront, shapeAndAxis } from './reductions.ts';
import {
  compute,
  type DeviceOf,
  expectNd,
  filled,
  floats,
  had,
  holds,
  seeds,
  shapes,
  slack,
  stored,
  upload,
} from './support.ts';

/** Φ(x)·x through erf(x) = 2/√π·∫₀ˣ e^(−s²) ds, the integral by Simpson's rule with error far below 1e-13. */
function gelu(x: number): number {
  const z = x / Math.SQRT2;
  const n = 6000;
  const step = z / n;
  const terms = Array.from({ length: n + 1 }, (_, i) => {
    const weight = i === 0 || i === n ? 1 : i % 2 === 1 ? 4 : 2;
    return weight * Math.exp(-((i * step) ** 2));
  });
  return 0.5 * x * (1 + ((2 / Math.sqrt(Math.PI)) * compensated(terms).sum * step) / 3);
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const cases: Readonly<Record<string, readonly [(x: t.Tensor) => t.Tensor, (x: number) => number]>> = {
  relu: [t.relu, (x) => Math.max(x, 0)],
  silu: [t.silu, (x) => x * sigmoid(x)],
  gelu: [t.gelu, gelu],
  geluTanh: [t.geluTanh, (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
  quickGelu: [t.quickGelu, (x) => x * sigmoid(1.702 * x)],
  logSigmoid: [t.logSigmoid, (x) => -Math.log1p(Math.exp(-x))],
};

/** Activations against their formulas. */
export function activations(device: DeviceOf): void {
  for (const [name, [apply, f]] of Object.entries(cases)) {
    test(`${name}, rounded once for halves`, () =>
      holds(
        [shapes(2), seeds],
        async (shape, seed) => {
          for (const dtype of had(device(), floats)) {
            const x = filled(shape, seed, dtype);
            const expected = { shape, data: x.data.map((v) => stored(dtype, f(v))) };
            // 1 + erf or 1 + tanh cancels for negative x; its few roundings times x are the absolute error.
            const unit = dtype === 'f64' ? 2 ** -53 : 2 ** -24;
            const absolute = (i: number) => 6 * slack(device(), dtype) * unit * Math.abs(entry(x.data, i)) + 1e-15;
            await expectNd(device(), apply(upload(x, dtype)), expected, dtype, { ulps: 2, absolute });
          }
        },
        20,
      ));
  }

  test('softmax and logSoftmax along any axis', () =>
    holds(
      [shapeAndAxis, seeds],
      async ({ shape, axis }, seed) => {
        const along = fromFront(axis, shape.length);
        for (const dtype of had(device(), floats)) {
          const x = filled(shape, seed, dtype);
          const shares = (index: readonly number[]) => {
            const line = lineAt(x, index, along);
            const largest = Math.max(...line);
            const weights = line.map((v) => Math.exp(v - largest));
            return { total: weights.reduce((a, b) => a + b, 0), weights, largest };
          };
          const soft = build(shape, (i) => stored(dtype, entry(shares(i).weights, entry(i, along)) / shares(i).total));
          const logs = build(shape, (i) => {
            const { total, largest } = shares(i);
            return stored(dtype, entry(lineAt(x, i, along), entry(i, along)) - largest - Math.log(total));
          });
          // The exponent is a difference of up to 64, rounded: e^x moves by that error relatively.
          const ulps = dtype === 'f64' || dtype === 'f32' ? 40 + 4 * slack(device(), dtype) : 1;
          await expectNd(device(), t.softmax(upload(x, dtype), axis), soft, dtype, { ulps });
          const largest = Math.max(1, ...x.data.map(Math.abs));
          const absolute = 4 * largest * (dtype === 'f64' ? 2 ** -53 : 2 ** -24) * slack(device(), dtype);
          await expectNd(device(), t.logSoftmax(upload(x, dtype), axis), logs, dtype, { ulps: 2, absolute });
        }
      },
      25,
    ));

  test('softmax defaults to the last axis, and sums to one for large numbers', async () => {
    const x = t.tensor([
      [1e4, 1e4, -1e4],
      [0, 0, 0],
    ]);
    const values = await compute(device(), t.softmax(x));
    expect(values.slice(0, 3)).toEqual([0.5, 0.5, 0]);
    for (const value of values.slice(3)) expect(Math.abs(value - 1 / 3)).toBeLessThanOrEqual(2 ** -25);
    expect(await compute(device(), t.logSoftmax(t.tensor([1e4, -1e4])))).toEqual([0, -20000]);
  });
}
