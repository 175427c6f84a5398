import { describe, expect, test } from 'vitest';
import { vjp } from '../../../autograd/index.ts';
import * as t from '../../../tensor/index.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { adapter, adapterWithLimits } from './adapters.ts';

interface Case {
  /** q, k, v and the cotangent. */
  readonly inputs: readonly [t.Tensor, t.Tensor, t.Tensor, t.Tensor];
  readonly attend?: (q: t.Tensor, k: t.Tensor, v: t.Tensor) => t.Tensor;
  /** Units of the results' last place, 2^−24 if they are f32. */
  readonly unit?: number;
}

const attend = t.scaledDotProductAttention;
const normal = (seed: number, ...shape: readonly number[]): t.Tensor => t.random.normal(t.key(seed), shape);

function inputsOf(batch: readonly number[], queries: number, keys: number, dim: number, width = dim): Case['inputs'] {
  const [q, k] = [normal(1, ...batch, queries, dim), normal(2, ...batch, keys, dim)];
  return [q, k, normal(3, ...batch, keys, width), normal(4, ...batch, queries, width)];
}

/** What hides some keys, but from no query all. */
const hiding = (queries: number, keys: number): t.Tensor => {
  const seen = Array.from({ length: queries * keys }, (_, i) => i % keys === 0 || (i * 7919) % 13 > 4);
  return t.reshape(t.tensor(seen), [queries, keys]);
};

/** Few, since SwiftShader takes long to compile kernels with many barriers: each has several of what may go wrong. */
const cases: Readonly<Record<string, () => Case>> = {
  'sizes that nothing divides, in batches, with numbers added to scores': () => ({
    inputs: inputsOf([2, 3], 67, 75, 13, 9),
    attend: (q, k, v) => attend(q, k, v, { mask: normal(5, 3, 1, 75) }),
  }),
  'causal, with fewer keys than queries': () => ({
    inputs: inputsOf([2], 140, 70, 40),
    attend: (q, k, v) => attend(q, k, v, { causal: true }),
  }),
  'heads of halves side by side, with a mask of truth values for all of them': () => ({
    inputs: [normal(1, 90, 3, 24), normal(2, 80, 3, 24), normal(3, 80, 3, 24), normal(4, 3, 90, 24)].map((x) =>
      t.cast(x, 'bf16'),
    ) as [t.Tensor, t.Tensor, t.Tensor, t.Tensor],
    attend: (q, k, v) => {
      const [a, b, c] = [q, k, v].map((x) => t.permute(x, [1, 0, 2])) as [t.Tensor, t.Tensor, t.Tensor];
      return attend(a, b, c, { mask: hiding(90, 80) });
    },
    unit: 2 ** -8,
  }),
  'more columns than one kernel keeps, of slices that begin anywhere': () => ({
    inputs: [normal(1, 20, 5), normal(2, 30, 4), normal(3, 31, 520), normal(4, 20, 520)],
    attend: (q, k, v) => attend(t.slice(q, [0, 1], [20, 5]), k, t.slice(v, [1, 0], [31, 520])),
  }),
};

/** The result on a device, and the gradients where asked for. */
async function outcome(
  { inputs, attend: f = attend }: Case,
  device: t.Device,
  withGradients: boolean,
): Promise<number[][]> {
  const [q, k, v, g] = await t.copy(inputs, { device });
  const { value, pullback } = vjp(f, q, k, v);
  const results = [value, ...(withGradients ? pullback(g) : [])];
  await t.realize(results, { device });
  const read = await Promise.all(results.map(async (result) => Array.from(await t.read(t.cast(result, 'f32')))));
  t.dispose([q, k, v, g, results]);
  return read;
}

/**
 * Scores reach 20, so f32 has them right to 2^−19 of 1, and weights to that share. That is 32 units of a result in f32;
 * gradients are differences of products with weights, each off by as much, and sums of up to 200 more roundings.
 */
function expectRight(actual: readonly number[][], expected: readonly number[][], unit = 2 ** -24): void {
  actual.forEach((list, i) => {
    const other = expected[i] ?? [];
    const size = other.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const bound = size * (unit + 128 * 2 ** -24);
    const worst = list.reduce((most, x, n) => Math.max(most, Math.abs(x - (other[n] as number))), 0);
    expect(list.length).toBe(other.length);
    expect(worst).toBeLessThanOrEqual(bound);
  });
}

describe.skipIf(adapter === null)('attention and its gradients on WebGPU', () => {
  for (const software of [true, false]) {
    const kind = software ? 'for CPUs' : 'for GPUs';
    for (const [name, build] of Object.entries(cases)) {
      test(`${kind}: ${name}`, async () => {
        const device = await WebGpuDevice.open({ software });
        const one = await t.copy(build().inputs, { device: await t.openDevice('reference') });
        const made = { ...build(), inputs: one };
        // On CPUs gradients are composed of products and sums, which have tests of their own.
        const expected = await outcome(made, await t.openDevice('reference'), !software);
        const actual = await outcome(made, device, !software);
        expectRight(actual, expected, made.unit);
        // Nothing is added up by whoever comes first.
        expect(await outcome(made, device, !software)).toEqual(actual);
        device.close();
      });
    }

    test(`${kind}: queries that see no key get NaN, those that see little do not`, async () => {
      const device = await WebGpuDevice.open({ software });
      const [q, k, v] = await t.copy(inputsOf([], 70, 9, 4), { device });
      const rows = t.reshape(t.iota([70], 0, 'i32'), [70, 1]);
      const hidden = t.where(t.equal(rows, 5), Number.NEGATIVE_INFINITY, t.zeros([70, 9]));
      // The least of all numbers hides nothing where all keys have it.
      const bias = t.where(t.equal(rows, 6), -3.4028234663852886e38, hidden);
      const read = async (x: t.Tensor): Promise<number[]> => Array.from(await t.read(t.slice(x, [5, 0], [7, 4])));
      const [none, , , , ...mean] = await read(attend(q, k, v, { mask: bias }));
      expect(none).toBeNaN();
      const average = Array.from(await t.read(t.mean(v, 0)));
      mean.forEach((x, i) => {
        expect(Math.abs(x - (average[i] as number))).toBeLessThanOrEqual(9 * 4 * 2 ** -24);
      });
      if (software) return device.close();
      const { pullback } = vjp((x: t.Tensor) => attend(x, k, v, { mask: bias }), q);
      const [slope, , , , ...slopes] = await read(pullback(t.ones([70, 4]))[0]);
      expect(slope).toBeNaN();
      expect(slopes.every(Number.isFinite)).toBe(true);
      device.close();
    });
  }

  test('reads and writes large buffers in parts', async () => {
    const made = { inputs: inputsOf([2], 100, 12, 16) };
    const expected = await outcome(made, await t.openDevice('reference'), true);
    for (const software of [true, false]) {
      const adapter = adapterWithLimits({ maxStorageBufferBindingSize: 8192 });
      const device = await WebGpuDevice.open({ adapter, software });
      expectRight(await outcome(made, device, !software), expected);
      device.close();
    }
  });
});
