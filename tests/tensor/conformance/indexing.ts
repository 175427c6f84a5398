import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, build, entry, generator, indicesOf, type Nd, withAxis } from './naive.ts';
import { fromFront, shapeAndAxis } from './reductions.ts';
import {
  compute,
  type DeviceOf,
  every,
  expectNd,
  filled,
  had,
  holds,
  numeric,
  seeds,
  shapes,
  stored,
  upload,
  whole,
} from './support.ts';

/** Indices below `size` in any shape. */
function indices(shape: readonly number[], size: number, seed: number): Nd {
  const random = generator(seed);
  return build(shape, () => Math.floor(random() * size));
}

/** Gather, scatterAdd and the operators composed of them. */
export function indexing(device: DeviceOf): void {
  test('gather reads along an axis; off it, indices may be shorter', () =>
    holds(
      [shapeAndAxis, fc.nat({ max: 6 }), fc.nat({ max: 1 }), seeds],
      async ({ shape, axis }, count, less, seed) => {
        const along = fromFront(axis, shape.length);
        const size = entry(shape, along);
        const out = shape.map((n, i) => (i === along ? (size === 0 ? 0 : count) : Math.max(0, n - less)));
        const index = indices(out, size, seed);
        for (const dtype of had(device(), every)) {
          const x = filled(shape, seed, dtype);
          const expected = build(out, (i) => at(x, withAxis(i, along, at(index, i))));
          for (const kind of ['i32', 'u32'] as const) {
            await expectNd(device(), t.gather(upload(x, dtype), upload(index, kind), axis), expected, dtype);
          }
        }
      },
      25,
    ));

  test('scatterAdd adds duplicates up', () =>
    holds(
      [shapeAndAxis, fc.nat({ max: 6 }), fc.nat({ max: 1 }), seeds],
      async ({ shape, axis }, count, less, seed) => {
        const along = fromFront(axis, shape.length);
        const size = entry(shape, along);
        const out = shape.map((n, i) => (i === along ? (size === 0 ? 0 : count) : Math.max(0, n - less)));
        const index = indices(out, size, seed);
        for (const dtype of had(device(), numeric)) {
          const base = whole(shape, seed, 0, 5);
          const updates = whole(out, seed + 1, 0, 5);
          const places = indicesOf(out);
          const expected = build(shape, (target) => {
            const added = places.filter((i) => withAxis(i, along, at(index, i)).join() === target.join());
            return stored(
              dtype,
              added.reduce((sum, i) => sum + at(updates, i), at(base, target)),
            );
          });
          const actual = t.scatterAdd(upload(base, dtype), upload(index, 'i32'), upload(updates, dtype), axis);
          await expectNd(device(), actual, expected, dtype);
        }
      },
      25,
    ));

  test('take puts the shape of the ids in place of the axis', () =>
    holds(
      [shapeAndAxis, shapes(2), seeds],
      async ({ shape, axis }, idShape, seed) => {
        const along = fromFront(axis, shape.length);
        const size = entry(shape, along);
        const ids = indices(size === 0 ? [0] : idShape, size, seed);
        for (const dtype of had(device(), every)) {
          const x = filled(shape, seed, dtype);
          const out = [...shape.slice(0, along), ...ids.shape, ...shape.slice(along + 1)];
          const expected = build(out, (index) => {
            const id = at(ids, index.slice(along, along + ids.shape.length));
            return at(x, [...index.slice(0, along), id, ...index.slice(along + ids.shape.length)]);
          });
          await expectNd(device(), t.take(upload(x, dtype), upload(ids, 'i32'), axis), expected, dtype);
        }
      },
      25,
    ));

  test('oneHot is 1 at the class and all zeros outside', () =>
    holds(
      [shapes(3), fc.nat({ max: 5 }), seeds],
      async (shape, classes, seed) => {
        const ids = whole(shape, seed, -2, 6);
        for (const dtype of had(device(), every)) {
          const expected = build([...shape, classes], (i) =>
            Number(at(ids, i.slice(0, -1)) === entry(i, shape.length)),
          );
          await expectNd(device(), t.oneHot(upload(ids, 'i32'), classes, { dtype }), expected, dtype);
        }
      },
      25,
    ));

  test('diagonal takes equal positions of two axes', () =>
    holds([shapes(3, 1), fc.nat(), fc.nat(), seeds], async (shape, n, m, seed) => {
      // Inserts a second axis of the same size.
      const i = n % shape.length;
      const j = m % (shape.length + 1);
      const size = entry(shape, i);
      const own = [...shape.slice(0, j), size, ...shape.slice(j)];
      const [axis1, axis2] = [i < j ? i : i + 1, j];
      const x = filled(own, seed, 'f32');
      const others = own.map((_, axis) => axis).filter((axis) => axis !== axis1 && axis !== axis2);
      const out = [...others.map((axis) => entry(own, axis)), size];
      const expected = build(out, (index) => {
        const along = entry(index, index.length - 1);
        const full = own.map((_, axis) => (others.includes(axis) ? entry(index, others.indexOf(axis)) : along));
        return at(x, full);
      });
      await expectNd(device(), t.diagonal(upload(x, 'f32'), axis1, axis2), expected, 'f32');
    }));

  test("PyTorch's documented examples", async () => {
    const x = t.tensor([
      [1, 2],
      [3, 4],
    ]);
    const index = t.tensor(
      [
        [0, 0],
        [1, 0],
      ],
      { dtype: 'i32' },
    );
    expect(await compute(device(), t.gather(x, index, 1))).toEqual([1, 1, 4, 3]);
    const base = t.zeros([3, 5]);
    const rows = t.tensor([[0, 1, 2, 0, 0]], { dtype: 'i32' });
    const added = await compute(device(), t.scatterAdd(base, rows, t.ones([1, 5]), 0));
    expect(added).toEqual([1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
  });

  test('an index outside is an error when it is evaluated, with the index and the axis', async () => {
    const x = t.tensor([1, 2, 3]);
    for (const [bad, kind] of [
      [3, 'i32'],
      [-1, 'i32'],
      [4294967295, 'u32'],
    ] as const) {
      const read = t.gather(x, t.tensor([0, bad], { dtype: kind }), 0);
      await expect(compute(device(), read)).rejects.toThrow(/gather: index -?\d+ is outside axis 0 of f32\[3\]/);
      const added = t.scatterAdd(x, t.tensor([0, bad], { dtype: kind }), t.ones([2]), 0);
      await expect(compute(device(), added)).rejects.toThrow(/scatterAdd: index -?\d+ is outside axis 0 of f32\[3\]/);
    }
    await expect(compute(device(), t.take(x, t.tensor([7], { dtype: 'i32' })))).rejects.toThrow('index 7 is outside');
  });

  test('many updates at one place are added precisely', async () => {
    const n = 100_000;
    const values = Float32Array.from({ length: n }, (_, i) => 0.1 + (i % 7) * 1e-3);
    const added = t.scatterAdd(t.zeros([1]), t.zeros([n], { dtype: 'i32' }), t.tensor(values), 0);
    const exact = values.reduce((a, b) => a + b, 0);
    const [value] = await compute(device(), added);
    // One rounding on the reference; executors that add in f32 stay within n·2^−24 of the sum of magnitudes.
    const bound = exact * (device().name === 'reference' ? 2 ** -24 : n * 2 ** -24);
    expect(Math.abs(Number(value) - exact)).toBeLessThanOrEqual(bound);
  });
}
