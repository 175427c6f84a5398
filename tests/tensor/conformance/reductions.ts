import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { build, entry, lineAt, type Nd, product, reduce, withAxis } from './naive.ts';
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
  slack,
  stored,
  upload,
  whole,
} from './support.ts';

/** A shape and some of its axes, possibly all, none, or counted from the end. */
const shapeAndAxes = shapes().chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    axes: fc.option(
      fc
        .subarray(shape.map((_, axis) => axis))
        .chain((axes) =>
          fc
            .array(fc.boolean(), { minLength: axes.length, maxLength: axes.length })
            .map((fromEnd) => axes.map((axis, i) => (fromEnd[i] === true ? axis - shape.length : axis))),
        ),
      { nil: undefined },
    ),
  }),
);

/** A shape and one axis of it. */
export const shapeAndAxis = shapes(4, 1).chain((shape) =>
  fc.record({ shape: fc.constant(shape), axis: fc.integer({ min: -shape.length, max: shape.length - 1 }) }),
);

export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const resolved = (axes: readonly number[] | undefined, rank: number): number[] =>
  axes === undefined ? Array.from({ length: rank }, (_, i) => i) : axes.map((axis) => fromFront(axis, rank));

const kept = (x: Nd, shape: readonly number[], axes: readonly number[]): Nd => ({
  shape: shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
  data: x.data,
});

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const magnitude = (values: readonly number[]): number => values.reduce((a, b) => a + Math.abs(b), 0);

/** Reductions against naive loops over every choice of axes. */
export function reductions(device: DeviceOf): void {
  test('several reductions of one array over the same axes give the results of each alone', () =>
    holds([shapeAndAxes, seeds], async ({ shape, axes }, seed) => {
      // Whole numbers, whose sums are exact.
      const x = upload(whole(shape, seed, -4, 9), 'f32');
      if (product(shape) === 0) return;
      const both = t.mul(x, x);
      const alone = () => [
        t.sum(x, axes),
        t.sum(both, axes),
        t.max(t.add(x, 1), axes),
        t.sum(t.add(both, x), axes).mul(3),
        t.sum(t.sub(x, t.max(x, axes, { keepDims: true })), axes),
      ];
      const together = (await t.realize(alone())) as t.Tensor[];
      const expected = await Promise.all(alone().map((one) => t.read(one)));
      expect(await Promise.all(together.map((one) => t.read(one)))).toEqual(expected);
      t.dispose(together);
    }));

  test('sum over any axes, rounded once or wrapping', () =>
    holds(
      [shapeAndAxes, seeds],
      async ({ shape, axes }, seed) => {
        const list = resolved(axes, shape.length);
        for (const dtype of had(device(), numeric)) {
          // Whole numbers, whose sums are exact in every dtype before the one rounding of the result.
          const x = whole(shape, seed, dtype === 'u32' ? 0 : -4, 9);
          const sums = reduce(x, list, (values) => stored(dtype, total(values)));
          await expectNd(device(), t.sum(upload(x, dtype), axes), sums, dtype);
          const wide = kept(sums, shape, list);
          await expectNd(device(), t.sum(upload(x, dtype), axes, { keepDims: true }), wide, dtype);
        }
      },
      25,
    ));

  test('sum and mean of fractions', () =>
    holds(
      [shapeAndAxes, seeds],
      async ({ shape, axes }, seed) => {
        const list = resolved(axes, shape.length);
        const count = product(list.map((axis) => entry(shape, axis)));
        for (const dtype of had(device(), floats)) {
          const x = filled(shape, seed, dtype);
          const sums = reduce(x, list, (values) => stored(dtype, total(values)));
          const sizes = reduce(x, list, magnitude).data;
          // The order of additions may differ: each rounds by 2^−53 in f64, and at worst by 2^−24 elsewhere.
          const unit = dtype === 'f64' || device().name === 'reference' ? 2 ** -53 : 2 ** -24;
          const absolute = (i: number) => entry(sizes, i) * unit * Math.max(1, count);
          await expectNd(device(), t.sum(upload(x, dtype), axes), sums, dtype, { ulps: 1, absolute });
          const means = reduce(x, list, (values) => stored(dtype, total(values) / values.length));
          const around = (i: number) => absolute(i) / Math.max(1, count);
          await expectNd(device(), t.mean(upload(x, dtype), axes), means, dtype, { ulps: 2, absolute: around });
        }
      },
      25,
    ));

  test('max and min over any axes', () =>
    holds(
      [shapeAndAxes, seeds],
      async ({ shape, axes }, seed) => {
        const list = resolved(axes, shape.length);
        const empty = product(list.map((axis) => entry(shape, axis))) === 0;
        for (const dtype of had(device(), numeric)) {
          const x = filled(shape, seed, dtype);
          const out = shape.filter((_, axis) => !list.includes(axis));
          if (empty && product(out) > 0) {
            expect(() => t.max(upload(x, dtype), axes)).toThrow(/^max: .* has no elements along axes/);
            expect(() => t.min(upload(x, dtype), axes)).toThrow(/^min: .* has no elements along axes/);
            continue;
          }
          const most = reduce(x, list, (values) => values.reduce((a, b) => (a > b ? a : b)));
          const least = reduce(x, list, (values) => values.reduce((a, b) => (a < b ? a : b)));
          await expectNd(device(), t.max(upload(x, dtype), axes), most, dtype);
          await expectNd(device(), t.min(upload(x, dtype), axes), least, dtype);
          await expectNd(device(), t.max(upload(x, dtype), axes, { keepDims: true }), kept(most, shape, list), dtype);
          await expectNd(device(), t.min(upload(x, dtype), axes, { keepDims: true }), kept(least, shape, list), dtype);
        }
      },
      25,
    ));

  test('over empty axes, any is false and all is true', () =>
    holds([shapeAndAxes, seeds], async ({ shape, axes }, seed) => {
      const list = resolved(axes, shape.length);
      const x = filled(shape, seed, 'bool');
      const some = reduce(x, list, (values) => Number(values.includes(1)));
      const every1 = reduce(x, list, (values) => Number(!values.includes(0)));
      await expectNd(device(), t.any(upload(x, 'bool'), axes), some, 'bool');
      await expectNd(device(), t.all(upload(x, 'bool'), axes), every1, 'bool');
      await expectNd(device(), t.any(upload(x, 'bool'), axes, { keepDims: true }), kept(some, shape, list), 'bool');
      await expectNd(device(), t.all(upload(x, 'bool'), axes, { keepDims: true }), kept(every1, shape, list), 'bool');
    }));

  test('variance with and without correction', () =>
    holds(
      [shapeAndAxes, seeds, fc.constantFrom(0, 1)],
      async ({ shape, axes }, seed, correction) => {
        const list = resolved(axes, shape.length);
        for (const dtype of had(device(), floats)) {
          const x = filled(shape, seed, dtype);
          const spread = (values: readonly number[]) => {
            const mean = total(values) / values.length;
            return total(values.map((v) => (v - mean) ** 2)) / Math.max(0, values.length - correction);
          };
          const expected = reduce(x, list, (values) => stored(dtype, spread(values)));
          const largest = reduce(x, list, (values) => Math.max(0, ...values.map(Math.abs))).data;
          // The mean is off by half an ulp (of f32 for halves), which counts twice in the squares.
          const unit = dtype === 'f64' ? 2 ** -53 : 2 ** -24;
          const absolute = (i: number) => 8 * unit * entry(largest, i) ** 2;
          const actual = t.variance(upload(x, dtype), axes, { correction });
          await expectNd(device(), actual, expected, dtype, { ulps: 4, absolute });
        }
      },
      25,
    ));

  test('logSumExp, −∞ over empty axes', () =>
    holds(
      [shapeAndAxes, seeds],
      async ({ shape, axes }, seed) => {
        const list = resolved(axes, shape.length);
        for (const dtype of had(device(), floats)) {
          const x = filled(shape, seed, dtype);
          const expected = reduce(x, list, (values) => {
            const largest = Math.max(...values);
            if (values.length === 0) return largest;
            return stored(dtype, largest + Math.log(total(values.map((v) => Math.exp(v - largest)))));
          });
          // A sum of at most 400 terms has a logarithm below 6, whose rounding counts where the result is small.
          const absolute = 8 * (dtype === 'f64' ? 2 ** -53 : 2 ** -24) * slack(device(), dtype);
          const actual = t.logSumExp(upload(x, dtype), axes);
          await expectNd(device(), actual, expected, dtype, { ulps: 2 + slack(device(), dtype), absolute });
          const wide = t.logSumExp(upload(x, dtype), axes, { keepDims: true });
          await expectNd(device(), wide, kept(expected, shape, list), dtype, {
            ulps: 2 + slack(device(), dtype),
            absolute,
          });
        }
      },
      25,
    ));

  test('logSumExp of large numbers does not overflow', async () => {
    for (const dtype of had(device(), ['f64', 'f32'])) {
      const [value] = await compute(device(), t.logSumExp(t.tensor([1000, 1000], { dtype })));
      expect(Math.abs(Number(value) - (1000 + Math.LN2))).toBeLessThanOrEqual(dtype === 'f64' ? 2e-13 : 1e-4);
    }
  });

  test('argMax and argMin take the first of equal elements', () =>
    holds(
      [shapeAndAxis, seeds],
      async ({ shape, axis }, seed) => {
        const along = fromFront(axis, shape.length);
        for (const dtype of had(device(), numeric)) {
          const x = whole(shape, seed, 0, 3);
          if (shape[along] === 0) {
            expect(() => t.argMax(upload(x, dtype), axis)).toThrow(/^argMax: axis/);
            expect(() => t.argMin(upload(x, dtype), axis)).toThrow(/^argMin: axis/);
            continue;
          }
          const first = (f: (values: number[]) => number) => reduce(x, [along], (values) => values.indexOf(f(values)));
          const most = first((values) => Math.max(...values));
          const least = first((values) => Math.min(...values));
          await expectNd(device(), t.argMax(upload(x, dtype), axis), most, 'i32');
          await expectNd(device(), t.argMin(upload(x, dtype), axis), least, 'i32');
          const wide = t.argMax(upload(x, dtype), axis, { keepDims: true });
          await expectNd(device(), wide, kept(most, shape, [along]), 'i32');
        }
      },
      25,
    ));

  test('a reduction over no axes leaves every element', () =>
    holds(
      [shapes(), seeds],
      async (shape, seed) => {
        for (const dtype of had(device(), numeric)) {
          const x = filled(shape, seed, dtype);
          await expectNd(device(), t.sum(upload(x, dtype), []), x, dtype);
          await expectNd(device(), t.max(upload(x, dtype), []), x, dtype);
          await expectNd(device(), t.min(upload(x, dtype), []), x, dtype);
        }
      },
      10,
    ));
}

/** Running sums, sorting and choosing. */
export function scans(device: DeviceOf): void {
  test('cumsum', () =>
    holds(
      [shapeAndAxis, seeds],
      async ({ shape, axis }, seed) => {
        const along = fromFront(axis, shape.length);
        for (const dtype of had(device(), numeric)) {
          const x = whole(shape, seed, dtype === 'u32' ? 0 : -3, 9);
          const expected = build(shape, (i) => stored(dtype, total(lineAt(x, i, along).slice(0, entry(i, along) + 1))));
          await expectNd(device(), t.cumsum(upload(x, dtype), axis), expected, dtype);
        }
      },
      25,
    ));

  test('argSort is stable in both directions; sort agrees with it', () =>
    holds(
      [shapeAndAxis, seeds],
      async ({ shape, axis }, seed) => {
        const along = fromFront(axis, shape.length);
        for (const dtype of had(device(), numeric)) {
          const isFloat = dtype !== 'i32' && dtype !== 'u32';
          const drawn = whole(shape, seed, 0, 3);
          // 3 becomes NaN, which is larger than everything.
          const x: Nd = isFloat ? { shape, data: drawn.data.map((v) => (v === 3 ? NaN : v)) } : drawn;
          for (const descending of [false, true]) {
            const ranks = build(shape, (index) => {
              const line = lineAt(drawn, index, along);
              const order = line.map((_, i) => i);
              // Insertion sort, which moves an element only past strictly larger (or smaller) ones.
              for (let i = 1; i < order.length; i++) {
                for (let j = i; j > 0; j--) {
                  const [left, right] = [entry(line, entry(order, j - 1)), entry(line, entry(order, j))];
                  if (descending ? left >= right : left <= right) break;
                  [order[j - 1], order[j]] = [entry(order, j), entry(order, j - 1)];
                }
              }
              return entry(order, entry(index, along));
            });
            await expectNd(device(), t.argSort(upload(x, dtype), axis, { descending }), ranks, 'i32');
            const sorted = build(shape, (i) => {
              const [line, rank] = [lineAt(x, i, along), lineAt(ranks, i, along)];
              return entry(line, entry(rank, entry(i, along)));
            });
            await expectNd(device(), t.sort(upload(x, dtype), axis, { descending }), sorted, dtype);
          }
        }
      },
      20,
    ));

  test('−0 and 0 are equal to everything that orders', async () => {
    for (const dtype of had(device(), floats)) {
      const zeros = t.tensor([0, -0, 0, -0, -0, 0], { dtype });
      expect(await compute(device(), t.argSort(zeros, 0))).toEqual([0, 1, 2, 3, 4, 5]);
      expect(await compute(device(), t.argSort(zeros, 0, { descending: true }))).toEqual([0, 1, 2, 3, 4, 5]);
      expect(await compute(device(), t.argSort(t.neg(zeros), 0))).toEqual([0, 1, 2, 3, 4, 5]);
      for (const list of [zeros, t.neg(zeros)]) {
        expect(await compute(device(), t.argMax(list, 0))).toEqual([0]);
        expect(await compute(device(), t.argMin(list, 0))).toEqual([0]);
        expect(await compute(device(), t.topK(list, 2).indices)).toEqual([0, 1]);
      }
      const mixed = t.tensor([1, -0, -1, 0, -0.5], { dtype });
      expect(await compute(device(), t.argSort(mixed, 0))).toEqual([2, 4, 1, 3, 0]);
    }
  });

  test('topK', () =>
    holds([shapeAndAxis, seeds, fc.nat()], async ({ shape, axis }, seed, n) => {
      const along = fromFront(axis, shape.length);
      const count = n % (entry(shape, along) + 1);
      const x = whole(shape, seed, -2, 2);
      const order = (index: readonly number[]) => {
        const line = lineAt(x, index, along);
        return line.map((_, i) => i).sort((i, j) => entry(line, j) - entry(line, i) || i - j);
      };
      const out = withAxis(shape, along, count);
      const indices = build(out, (i) => entry(order(withAxis(i, along, 0)), entry(i, along)));
      const values = build(out, (i) => {
        const line = lineAt(x, withAxis(i, along, 0), along);
        return entry(line, entry(order(withAxis(i, along, 0)), entry(i, along)));
      });
      const actual = t.topK(upload(x, 'f32'), count, axis);
      await expectNd(device(), actual.values, values, 'f32');
      await expectNd(device(), actual.indices, indices, 'i32');
    }));

  test('a long axis is sorted', async () => {
    const n = 10_007;
    const x = filled([n], 5, 'f32');
    const sorted = [...x.data].sort((a, b) => a - b);
    await expectNd(device(), t.sort(upload(x, 'f32')), { shape: [n], data: sorted }, 'f32');
  });

  test('every dtype keeps its elements when nothing is computed', () =>
    holds(
      [shapes(), seeds],
      async (shape, seed) => {
        for (const dtype of had(device(), every)) {
          const x = filled(shape, seed, dtype);
          await expectNd(device(), upload(x, dtype), x, dtype);
          await expectNd(device(), t.tensor([...x.data], { shape, dtype, device: device() }), x, dtype);
        }
      },
      20,
    ));
}
