import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, build, entry, type Nd } from './naive.ts';
import {
  compute,
  type DeviceOf,
  expectNd,
  filled,
  floats,
  had,
  holds,
  seeds,
  stored,
  upload,
  whole,
} from './support.ts';

const pair = (max: number, min = 1) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));

/** Images with a window that fits. */
const windows = fc
  .record({
    lead: fc.tuple(fc.constantFrom(1, 2, 0), fc.constantFrom(1, 3)),
    size: pair(7),
    kernel: pair(3),
    stride: fc.option(pair(3), { nil: undefined }),
    sides: fc.tuple(pair(2, 0), pair(2, 0)),
  })
  .filter(({ size, kernel, sides }) =>
    size.every(
      (n, a) =>
        n + entry(entry(sides, a), 0) + entry(entry(sides, a), 1) >= entry(kernel, a) &&
        Math.max(...entry(sides, a)) < entry(kernel, a),
    ),
  );

type Window = typeof windows extends fc.Arbitrary<infer W> ? W : never;

/** The elements in each window, without padding. */
function pooled(x: Nd, { size, kernel, stride, sides }: Window, f: (inside: number[]) => number): Nd {
  const steps = stride ?? kernel;
  const out = size.map(
    (n, a) =>
      Math.floor((n + entry(entry(sides, a), 0) + entry(entry(sides, a), 1) - entry(kernel, a)) / entry(steps, a)) + 1,
  );
  return build([...x.shape.slice(0, 2), ...out], (index) => {
    const [n, c, row, column] = index as [number, number, number, number];
    const inside: number[] = [];
    for (let i = 0; i < kernel[0]; i++) {
      for (let j = 0; j < kernel[1]; j++) {
        const [h, w] = [row * steps[0] + i - sides[0][0], column * steps[1] + j - sides[1][0]];
        if (h >= 0 && w >= 0 && h < size[0] && w < size[1]) inside.push(at(x, [n, c, h, w]));
      }
    }
    return f(inside);
  });
}

const optionsOf = ({ kernel, stride, sides }: Window) =>
  stride === undefined ? { kernel, padding: sides } : { kernel, stride, padding: sides };

/** Interpolation between pixel centres by its definition (`align_corners = false`). */
function bilinear(x: Nd, out: readonly [number, number]): Nd {
  const along = (size: number, target: number, i: number) => {
    const position = Math.max(0, ((i + 0.5) * size) / target - 0.5);
    const low = Math.min(Math.floor(position), size - 1);
    return { low, high: Math.min(low + 1, size - 1), share: position - low };
  };
  const [height, width] = x.shape.slice(2) as [number, number];
  return build([...x.shape.slice(0, 2), ...out], (index) => {
    const [n, c, row, column] = index as [number, number, number, number];
    const [v, h] = [along(height, out[0], row), along(width, out[1], column)];
    const top = at(x, [n, c, v.low, h.low]) * (1 - h.share) + at(x, [n, c, v.low, h.high]) * h.share;
    const bottom = at(x, [n, c, v.high, h.low]) * (1 - h.share) + at(x, [n, c, v.high, h.high]) * h.share;
    return top * (1 - v.share) + bottom * v.share;
  });
}

/** Pooling and resizing of images. */
export function spatial(device: DeviceOf): void {
  test('avgPool2d, with padding counted or not', () =>
    holds(
      [windows, seeds],
      async (window, seed) => {
        const shape = [...window.lead, ...window.size];
        const area = window.kernel[0] * window.kernel[1];
        for (const dtype of had(device(), floats)) {
          const x = whole(shape, seed, -8, 8);
          const total = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
          const all = pooled(x, window, (list) => stored(dtype, total(list) / area));
          const inside = pooled(x, window, (list) => stored(dtype, total(list) / list.length));
          const options = optionsOf(window);
          const close = { ulps: device().name === 'reference' ? 0 : 3 };
          await expectNd(device(), t.avgPool2d(upload(x, dtype), options), all, dtype, close);
          const without = t.avgPool2d(upload(x, dtype), { ...options, countIncludePad: false });
          await expectNd(device(), without, inside, dtype, close);
        }
      },
      40,
    ));

  test('maxPool2d, where padding never wins', () =>
    holds(
      [windows, seeds],
      async (window, seed) => {
        for (const dtype of had(device(), floats)) {
          const x = filled([...window.lead, ...window.size], seed, dtype);
          const expected = pooled(x, window, (list) => Math.max(...list));
          await expectNd(device(), t.maxPool2d(upload(x, dtype), optionsOf(window)), expected, dtype);
        }
      },
      40,
    ));

  test('resizeNearest takes element ⌊i·in/out⌋', () =>
    holds(
      [pair(7), pair(11), seeds],
      async (size, out, seed) => {
        for (const dtype of had(device(), floats)) {
          const x = filled([2, 3, ...size], seed, dtype);
          const expected = build([2, 3, ...out], ([n = 0, c = 0, i = 0, j = 0]) =>
            at(x, [n, c, Math.floor((i * size[0]) / out[0]), Math.floor((j * size[1]) / out[1])]),
          );
          await expectNd(device(), t.resizeNearest(upload(x, dtype), out), expected, dtype);
        }
      },
      40,
    ));

  test('resizeBilinear', () =>
    holds(
      [pair(7), pair(11), seeds],
      async (size, out, seed) => {
        for (const dtype of had(device(), floats)) {
          const x = filled([1, 2, ...size], seed, dtype);
          const exact = bilinear(x, out);
          const expected = { ...exact, data: exact.data.map((value) => stored(dtype, value)) };
          const largest = Math.max(...x.data.map(Math.abs));
          // Positions up to 7 are off by at most 2^−21 (in f64 2^−50), which moves values by that share of a difference.
          const absolute = 2 * largest * (dtype === 'f64' ? 2 ** -50 : 2 ** -21) * 2;
          await expectNd(device(), t.resizeBilinear(upload(x, dtype), out), expected, dtype, { ulps: 1, absolute });
        }
      },
      40,
    ));

  test("examples from PyTorch's documentation", async () => {
    const x = t.tensor([1, 2, 3, 4], { shape: [1, 1, 2, 2], dtype: 'f32' });
    expect(await compute(device(), t.resizeNearest(x, [4, 4]))).toEqual([
      1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4,
    ]);
    expect(await compute(device(), t.resizeBilinear(x, [4, 4]))).toEqual([
      1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4,
    ]);
  });

  test('maxPool2d keeps NaN', async () => {
    const x = t.tensor([1, NaN, 3, 4], { shape: [1, 1, 2, 2] });
    expect(await compute(device(), t.maxPool2d(x, { kernel: 2 }))).toEqual([NaN]);
  });
}
