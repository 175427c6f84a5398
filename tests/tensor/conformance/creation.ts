import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { build, entry, ulp } from './naive.ts';
import {
  compute,
  type DeviceOf,
  every,
  expectNd,
  filled,
  floats,
  had,
  holds,
  numeric,
  seeds,
  shapes,
  stored,
} from './support.ts';

/** Making tensors and reading them back. */
export function creation(device: DeviceOf): void {
  test('nested arrays of any depth', () =>
    holds(
      [shapes(), seeds],
      async (shape, seed) => {
        for (const dtype of had(device(), every)) {
          const x = filled(shape, seed, dtype);
          let next = 0;
          const nest = (axis: number): t.Nested =>
            axis === shape.length
              ? entry(x.data, next++)
              : Array.from({ length: entry(shape, axis) }, () => nest(axis + 1));
          const nested = nest(0);
          // The axes after an empty axis cannot be seen in nested arrays.
          const firstEmpty = shape.indexOf(0);
          const seen = firstEmpty < 0 ? shape : shape.slice(0, firstEmpty + 1);
          const made = t.tensor(nested, { dtype, device: device() });
          await expectNd(device(), made, { shape: seen, data: x.data }, dtype);
          const back = await t.toNested(t.tensor(nested, { dtype, shape, device: device() }));
          expect(back).toEqual(dtype === 'bool' ? truths(nested) : nested);
        }
      },
      20,
    ));

  test('typed arrays know their dtype', async () => {
    const made = [
      [t.tensor(Float32Array.of(1.5, -2)), 'f32', [1.5, -2]],
      [t.tensor(Int32Array.of(-1, 2)), 'i32', [-1, 2]],
      [t.tensor(Uint32Array.of(1, 4294967295)), 'u32', [1, 4294967295]],
      [t.tensor(Uint8Array.of(1, 0)), 'bool', [1, 0]],
      [t.tensor(Uint16Array.of(0x3c00, 0x0001), { dtype: 'f16' }), 'f16', [1, 2 ** -24]],
      [t.tensor(Uint16Array.of(0x3f80, 0xc000), { dtype: 'bf16' }), 'bf16', [1, -2]],
      [t.tensor(Float64Array.of(1.1, 2), { dtype: 'f32' }), 'f32', [Math.fround(1.1), 2]],
      [t.tensor(Float32Array.of(1, 0), { dtype: 'bool' }), 'bool', [1, 0]],
      [t.tensor(Uint8Array.of(7, 255), { dtype: 'i32' }), 'i32', [7, 255]],
    ] as const;
    for (const [x, dtype, data] of made) await expectNd(device(), x, { shape: [2], data: [...data] }, dtype);
    const shaped = t.tensor(Int32Array.of(1, 2, 3, 4, 5, 6), { shape: [2, 3] });
    await expectNd(device(), shaped, { shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }, 'i32');
    if (device().dtypes.has('f64')) expect(t.tensor(Float64Array.of(1)).dtype).toBe('f64');
  });

  test('tensor copies its argument, and read returns a copy', async () => {
    for (const options of [{}, { device: device() }]) {
      const source = Float32Array.of(1, 2, 3);
      const x = t.tensor(source, options);
      source[0] = 99;
      expect(await compute(device(), t.add(x, 0))).toEqual([1, 2, 3]);
      const out = await t.read(x);
      out[1] = 99;
      expect(Array.from(await t.read(x))).toEqual([1, 2, 3]);
      const raw = await t.readStorage(x);
      raw[2] = 99;
      expect(Array.from(await t.read(x))).toEqual([1, 2, 3]);
      const shape = [3];
      const y = t.tensor(source, { shape, ...options });
      shape[0] = 7;
      expect(y.shape).toEqual([3]);
    }
  });

  test('scalars, truth values and the default dtypes', async () => {
    expect([t.tensor(3).dtype, t.tensor(3).shape]).toEqual(['f32', []]);
    expect([t.tensor(true).dtype, t.tensor([true, false]).dtype]).toEqual(['bool', 'bool']);
    expect(t.tensor([true, 2]).dtype).toBe('f32');
    expect([t.tensor([]).shape, t.tensor([[], []]).shape]).toEqual([[0], [2, 0]]);
    expect(await t.item(t.tensor(0.1))).toBe(Math.fround(0.1));
    expect(await t.item(t.tensor([[7]], { dtype: 'i32' }))).toBe(7);
    await expect(t.item(t.zeros([2]))).rejects.toThrow('item: f32[2] has 2 elements, not one; use read');
    expect(await t.toNested(t.tensor(true))).toBe(true);
    expect(await t.toNested(t.tensor([[1, 2]]))).toEqual([[1, 2]]);
    expect(await t.toNested(t.zeros([2, 0, 3]))).toEqual([[], []]);
  });

  test('read gives halves as their exact f32 values, readStorage their bits', async () => {
    const x = t.tensor([1, -2, 65504], { dtype: 'f16', device: device() });
    expect(await t.read(x)).toEqual(Float32Array.of(1, -2, 65504));
    expect(await t.readStorage(x)).toEqual(Uint16Array.of(0x3c00, 0xc000, 0x7bff));
    const y = t.tensor([1, -2], { dtype: 'bf16', device: device() });
    expect(await t.readStorage(y)).toEqual(Uint16Array.of(0x3f80, 0xc000));
    expect(await t.read(t.tensor([true, false], { device: device() }))).toEqual(Uint8Array.of(1, 0));
    expect(await t.read(t.tensor([5], { dtype: 'u32', device: device() }))).toEqual(Uint32Array.of(5));
  });

  test('zeros, ones and full', () =>
    holds(
      [shapes(), fc.integer({ min: 0, max: 1 })],
      async (shape, value) => {
        for (const dtype of had(device(), every)) {
          const all = (v: number) => build(shape, () => v);
          await expectNd(device(), t.zeros(shape, { dtype }), all(0), dtype);
          await expectNd(device(), t.ones(shape, { dtype }), all(1), dtype);
          await expectNd(device(), t.full(shape, value === 1, { dtype }), all(value), dtype);
        }
        await expectNd(
          device(),
          t.full(shape, 0.1),
          build(shape, () => Math.fround(0.1)),
          'f32',
        );
      },
      20,
    ));

  test('arange counts up and down, in whole and broken steps', async () => {
    const is = async (x: t.Tensor, dtype: t.DType, data: readonly number[]) =>
      expectNd(device(), x, { shape: [data.length], data }, dtype);
    await is(t.arange(4), 'i32', [0, 1, 2, 3]);
    await is(t.arange(2, 5), 'i32', [2, 3, 4]);
    await is(t.arange(5, 0, -2), 'i32', [5, 3, 1]);
    await is(t.arange(0, 7, 3), 'i32', [0, 3, 6]);
    await is(t.arange(3, 3), 'i32', []);
    await is(t.arange(3, 0), 'i32', []);
    await is(t.arange(0, 1, 0.25), 'f32', [0, 0.25, 0.5, 0.75]);
    await is(t.arange(0.5, 3), 'f32', [0.5, 1.5, 2.5]);
    await is(t.arange(3, 0, -1, { dtype: 'u32' }), 'u32', [3, 2, 1]);
    await is(t.arange(4294967290, 4294967294, 2, { dtype: 'u32' }), 'u32', [4294967290, 4294967292]);
    await is(t.arange(-2147483648, -2147483644, 2), 'i32', [-2147483648, -2147483646]);
    await is(t.arange(3, 0, -1, { dtype: 'f16' }), 'f16', [3, 2, 1]);
    if (device().dtypes.has('f64')) await is(t.arange(0, 3, 1, { dtype: 'f64' }), 'f64', [0, 1, 2]);
  });

  test('arange in floats is start + i·step, rounded once for halves', async () => {
    for (const dtype of had(device(), floats)) {
      const [start, step] = [-100, 0.1];
      const data = Array.from({ length: 2000 }, (_, i) => stored(dtype, start + i * step));
      // Step, product and sum each round in the dtype (halves: in f32); the product is at most 200.
      const absolute = 2 * ulp(dtype === 'f64' ? 'f64' : 'f32', 200);
      await expectNd(device(), t.arange(start, 100, step, { dtype }), { shape: [2000], data }, dtype, {
        ulps: 1,
        absolute,
      });
    }
  });

  test('linspace includes both ends', () =>
    holds(
      [fc.integer({ min: 0, max: 40 }), fc.integer({ min: -50, max: 50 }), fc.integer({ min: -50, max: 50 })],
      async (n, a, b) => {
        for (const dtype of had(device(), floats)) {
          const [start, stop] = [a / 4, b / 4];
          const data = Array.from({ length: n }, (_, i) =>
            stored(dtype, n === 1 ? start : start + (i * (stop - start)) / (n - 1)),
          );
          await expectNd(device(), t.linspace(start, stop, n, { dtype }), { shape: [n], data }, dtype, {
            ulps: 1,
            absolute: 1e-14,
          });
          if (n < 2) continue;
          const values = await compute(device(), t.linspace(start, stop, n, { dtype }));
          expect([values[0], values[n - 1]]).toEqual([stored(dtype, start), stored(dtype, stop)]);
        }
      },
      25,
    ));

  test('eye, square and not', () =>
    holds(
      [fc.nat({ max: 6 }), fc.nat({ max: 6 })],
      async (rows, columns) => {
        for (const dtype of had(device(), every)) {
          const expected = build([rows, columns], ([i, j]) => Number(i === j));
          await expectNd(device(), t.eye(rows, { columns, dtype }), expected, dtype);
        }
        expect(t.eye(rows).shape).toEqual([rows, rows]);
      },
      20,
    ));

  test('a tensor of every dtype comes back from a copy', () =>
    holds(
      [shapes(), seeds],
      async (shape, seed) => {
        for (const dtype of had(device(), numeric)) {
          const x = filled(shape, seed, dtype);
          const copied = await t.copy(t.tensor([...x.data], { shape, dtype }), { device: device() });
          await expectNd(device(), copied, x, dtype);
        }
      },
      10,
    ));
}

/** The same nesting with 1 and 0 as booleans. */
function truths(nested: t.Nested): unknown {
  return Array.isArray(nested) ? nested.map(truths) : nested === 1;
}
