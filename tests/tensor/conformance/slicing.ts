import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, build, entry } from './naive.ts';
import { compute, type DeviceOf, every, expectNd, filled, had, holds, seeds, shapes, upload } from './support.ts';

/** The positions of Python's `range(size)[start:stop:step]`: PySlice_AdjustIndices, then a loop. */
function positions(size: number, start: number | undefined, stop: number | undefined, step: number): number[] {
  const adjust = (value: number | undefined, missing: number): number => {
    if (value === undefined) return missing;
    if (value < 0) {
      const wrapped = value + size;
      return wrapped < 0 ? (step < 0 ? -1 : 0) : wrapped;
    }
    return value >= size ? (step < 0 ? size - 1 : size) : value;
  };
  const from = adjust(start, step < 0 ? size - 1 : 0);
  const to = adjust(stop, step < 0 ? -1 : size);
  const list: number[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) list.push(i);
  return list;
}

const place = fc.option(fc.integer({ min: -9, max: 9 }), { nil: undefined });
const step = fc.option(
  fc.integer({ min: -4, max: 4 }).filter((n) => n !== 0),
  { nil: undefined },
);
const range = fc.record({ start: place, stop: place, step });

/** Slices as in Python. */
export function slicing(device: DeviceOf): void {
  test('slice takes the elements that Python takes', () =>
    holds(
      [shapes(3), fc.array(range, { maxLength: 3 }), seeds],
      async (shape, given, seed) => {
        const ranges = given.slice(0, shape.length);
        const taken = shape.map((size, axis) => {
          const { start, stop, step: by } = ranges[axis] ?? { start: undefined, stop: undefined, step: undefined };
          return positions(size, start, stop, by ?? 1);
        });
        for (const dtype of had(device(), every)) {
          const x = filled(shape, seed, dtype);
          const expected = build(
            taken.map((list) => list.length),
            (index) =>
              at(
                x,
                index.map((i, axis) => entry(entry(taken, axis), i)),
              ),
          );
          const actual = t.slice(
            upload(x, dtype),
            ranges.map((r) => r.start),
            ranges.map((r) => r.stop),
            ranges.map((r) => r.step),
          );
          await expectNd(device(), actual, expected, dtype);
        }
      },
      60,
    ));

  test("examples from NumPy's documentation", async () => {
    const x = t.arange(10);
    expect(await compute(device(), t.slice(x, [1], [7], [2]))).toEqual([1, 3, 5]);
    expect(await compute(device(), t.slice(x, [-2], [10]))).toEqual([8, 9]);
    expect(await compute(device(), t.slice(x, [-3], [3], [-1]))).toEqual([7, 6, 5, 4]);
    expect(await compute(device(), t.slice(x, [5]))).toEqual([5, 6, 7, 8, 9]);
    expect(await compute(device(), t.slice(x, [undefined], [undefined], [-1]))).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    expect(await compute(device(), t.slice(x, [20], [30]))).toEqual([]);
  });

  test('bad ranges are refused', () => {
    const x = t.zeros([4, 5]);
    expect(() => t.slice(x, [0], [2], [0])).toThrow('slice: a step of 0 goes nowhere');
    expect(() => t.slice(x, [0], [2], [1.5])).toThrow('slice: a step of 1.5 goes nowhere');
    expect(() => t.slice(x, [0.5])).toThrow('slice: 0.5 is not a whole number');
    expect(() => t.slice(x, [0, 0, 0])).toThrow('slice: 3 entries for f32[4, 5], which has 2 axes');
  });
}
