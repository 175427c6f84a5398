import { expect, test } from 'vitest';
import { roundTo, toStorage, toValues } from '../../tensor/dtype.ts';
import {
  broadcastShapes,
  byteSize,
  type DType,
  dtypes,
  formatShape,
  isFloat,
  isHalf,
  isInteger,
  sameShape,
  sizeOf,
} from '../../tensor/index.ts';
import { topologicalOrder } from '../../tensor/internal.ts';
import { stridesOf } from '../../tensor/shape.ts';
import { round } from './conformance/naive.ts';

test('shapes broadcast from the end, sizes of 1 stretch', () => {
  expect(broadcastShapes('x')).toEqual([]);
  expect(broadcastShapes('x', [2, 3], [3])).toEqual([2, 3]);
  expect(broadcastShapes('x', [2, 1], [1, 3])).toEqual([2, 3]);
  expect(broadcastShapes('x', [], [4], [5, 1])).toEqual([5, 4]);
  expect(broadcastShapes('x', [0], [1])).toEqual([0]);
  expect(broadcastShapes('x', [1], [1])).toEqual([1]);
  expect(() => broadcastShapes('x', [0], [2])).toThrow('x: shapes [0] and [2] do not broadcast');
  expect(() => broadcastShapes('x', [2], [1], [3])).toThrow('x: shapes [2] and [1] and [3] do not broadcast');
});

test('sizes, strides and names', () => {
  expect([sizeOf([]), sizeOf([2, 3]), sizeOf([2, 0])]).toEqual([1, 6, 0]);
  expect([stridesOf([]), stridesOf([2, 3, 4])]).toEqual([[], [12, 4, 1]]);
  expect([formatShape([]), formatShape([2, 3])]).toEqual(['[]', '[2, 3]']);
  expect([sameShape([2], [2]), sameShape([2], [2, 1]), sameShape([2], [3])]).toEqual([true, false, false]);
});

test('properties of the dtypes', () => {
  const kinds = Object.fromEntries(dtypes.map((d) => [d, [byteSize[d], isFloat(d), isHalf(d), isInteger(d)]]));
  expect(kinds).toEqual({
    f64: [8, true, false, false],
    f32: [4, true, false, false],
    f16: [2, true, true, false],
    bf16: [2, true, true, false],
    i32: [4, false, false, true],
    u32: [4, false, false, true],
    bool: [1, false, false, false],
  });
});

test('roundTo and storage agree on every dtype', () => {
  const numbers = [
    0, 0.1, -0.1, 1.5, -1.5, 2.5, 300.7, -300.7, 65519, 65520, 1e9, 3e9, -3e9, 5e9, 1e300, -1e300, 1e-40,
  ];
  const special = [...numbers, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const clamp = (low: number, high: number) => (x: number) =>
    Number.isNaN(x) ? 0 : x <= low ? low : x >= high ? high : x < 0 ? Math.ceil(x) : Math.floor(x);
  const expected: Readonly<Record<DType, (x: number) => number>> = {
    f64: (x) => x,
    f32: (x) => round('f32', x),
    f16: (x) => round('f16', round('f32', x)),
    bf16: (x) => round('bf16', round('f32', x)),
    i32: clamp(-(2 ** 31), 2 ** 31 - 1),
    u32: clamp(0, 2 ** 32 - 1),
    bool: (x) => Number(x !== 0),
  };
  for (const dtype of dtypes) {
    const values = toValues(dtype, toStorage(dtype, special));
    special.forEach((x, i) => {
      const wanted = expected[dtype](x) + 0;
      expect(roundTo(dtype, x) + 0, `${dtype} of ${x}`).toBe(wanted);
      expect((values[i] as number) + 0, `${dtype} of ${x}, stored`).toBe(wanted);
    });
  }
});

test('topological order: inputs before users, each once, also in deep and in wide graphs', () => {
  const edges: Readonly<Record<string, readonly string[]>> = { a: ['b', 'c'], b: ['d'], c: ['d', 'b'], d: [] };
  const order = topologicalOrder(['a', 'c'], (v) => edges[v] ?? []);
  expect(order).toEqual(['d', 'b', 'c', 'a']);
  expect(topologicalOrder([], () => [])).toEqual([]);
  const deep = topologicalOrder([0], (v) => (v < 200_000 ? [v + 1] : []));
  expect(deep.length).toBe(200_001);
  expect([deep[0], deep[200_000]]).toEqual([200_000, 0]);
});
