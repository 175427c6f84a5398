import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, build, entry, indicesOf, type Nd, product } from './naive.ts';
import {
  compute,
  type DeviceOf,
  expectNd,
  filled,
  floats,
  had,
  holds,
  numeric,
  seeds,
  stored,
  upload,
  whole,
} from './support.ts';

interface Case {
  readonly x: number[];
  readonly w: number[];
  readonly options: Required<t.ConvOptions>;
}

/** Sizes of a convolution over 0 to 3 axes with every attribute at random, and an output that exists. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    batch: fc.constantFrom(0, 1, 2),
    groups: fc.constantFrom(1, 1, 2, 3),
    inputs: fc.constantFrom(0, 1, 2),
    outputs: fc.constantFrom(1, 2),
    axes: fc.array(
      fc.record({
        size: fc.integer({ min: 0, max: 6 }),
        kernel: fc.integer({ min: 0, max: 3 }),
        stride: fc.integer({ min: 1, max: 3 }),
        before: fc.integer({ min: -2, max: 3 }),
        after: fc.integer({ min: -2, max: 3 }),
        inputDilation: fc.integer({ min: 1, max: 3 }),
        kernelDilation: fc.integer({ min: 1, max: 3 }),
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ batch, groups, inputs, outputs, axes }) => ({
    x: [batch, groups * inputs, ...axes.map((axis) => axis.size)],
    w: [groups * outputs, inputs, ...axes.map((axis) => axis.kernel)],
    options: {
      strides: axes.map((axis) => axis.stride),
      before: axes.map((axis) => axis.before),
      after: axes.map((axis) => axis.after),
      inputDilation: axes.map((axis) => axis.inputDilation),
      kernelDilation: axes.map((axis) => axis.kernelDilation),
      groups,
    },
  }))
  .filter((one) => outputSizes(one).every((size) => size >= 1) && product(one.x) <= 600);

const spread = (size: number, dilation: number): number => (size === 0 ? 0 : (size - 1) * dilation + 1);

function outputSizes({ x, w, options }: Case): number[] {
  return x.slice(2).map((size, i) => {
    const padded = spread(size, entry(options.inputDilation, i)) + entry(options.before, i) + entry(options.after, i);
    return (
      Math.floor((padded - spread(entry(w, i + 2), entry(options.kernelDilation, i))) / entry(options.strides, i)) + 1
    );
  });
}

/** Dilates the input, pads or crops it, and slides the kernel over it, one step after the other. */
function naive(x: Nd, w: Nd, one: Case): Nd {
  const { strides, before, inputDilation, kernelDilation, groups } = one.options;
  const [batch, channels] = x.shape as [number, number];
  const [outputs, inputs] = w.shape as [number, number];
  const kernel = indicesOf(w.shape.slice(2));
  return build([batch, outputs, ...outputSizes(one)], (index) => {
    const [n, o, ...q] = index as [number, number, ...number[]];
    const group = Math.floor(o / (outputs / groups));
    let sum = 0;
    for (let i = 0; i < inputs; i++) {
      for (const k of kernel) {
        const place = q.map(
          (p, a) => p * entry(strides, a) + entry(k, a) * entry(kernelDilation, a) - entry(before, a),
        );
        const inside = place.every(
          (p, a) => p >= 0 && p % entry(inputDilation, a) === 0 && p / entry(inputDilation, a) < entry(x.shape, a + 2),
        );
        if (!inside) continue;
        const from = place.map((p, a) => p / entry(inputDilation, a));
        sum += at(x, [n, group * (channels / groups) + i, ...from]) * at(w, [o, i, ...k]);
      }
    }
    return sum;
  });
}

const pair = (max: number, min = 1) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));

const images = fc.record({
  batch: fc.constantFrom(1, 2),
  groups: fc.constantFrom(1, 2),
  inputs: fc.constantFrom(1, 2),
  outputs: fc.constantFrom(1, 2),
  size: pair(6),
  kernel: pair(3),
  stride: pair(3),
  padding: pair(2, 0),
  dilation: pair(2),
});

/** Convolutions against nested loops. */
export function conv(device: DeviceOf): void {
  test('conv over 0 to 3 axes with all attributes, on whole numbers', () =>
    holds(
      [cases, seeds],
      async (one, seed) => {
        for (const dtype of had(device(), numeric)) {
          const least = dtype === 'u32' ? 0 : -3;
          const [x, w] = [whole(one.x, seed, least, 3), whole(one.w, seed + 1, least, 3)];
          const expected = naive(x, w, one);
          const data = expected.data.map((value) => stored(dtype, value));
          const actual = t.conv(upload(x, dtype), upload(w, dtype), one.options);
          await expectNd(device(), actual, { ...expected, data }, dtype);
        }
      },
      80,
    ));

  test('conv of fractions is rounded once', () =>
    holds(
      [cases, seeds],
      async (one, seed) => {
        for (const dtype of had(device(), floats)) {
          const [x, w] = [filled(one.x, seed, dtype), filled(one.w, seed + 1, dtype)];
          const size = (v: Nd): Nd => ({ ...v, data: v.data.map(Math.abs) });
          const bounds = naive(size(x), size(w), one).data;
          const expected = naive(x, w, one);
          const data = expected.data.map((value) => stored(dtype, value));
          // At most 2·27 products, in any order.
          const unit = dtype === 'f64' || device().name === 'reference' ? 2 ** -47 : 2 ** -18;
          const actual = t.conv(upload(x, dtype), upload(w, dtype), one.options);
          await expectNd(device(), actual, { ...expected, data }, dtype, {
            ulps: 1,
            absolute: (i) => entry(bounds, i) * unit,
          });
        }
      },
      40,
    ));

  test('conv2d reads its padding as a number, a pair, or four sides', async () => {
    const x = t.ones([1, 1, 3, 3]);
    const w = t.ones([1, 1, 3, 3]);
    expect(await compute(device(), t.conv2d(x, w))).toEqual([9]);
    expect(await compute(device(), t.conv2d(x, w, { padding: 1 }))).toEqual([4, 6, 4, 6, 9, 6, 4, 6, 4]);
    expect(await compute(device(), t.conv2d(x, w, { padding: [1, 0] }))).toEqual([6, 9, 6]);
    expect(
      await compute(
        device(),
        t.conv2d(x, w, {
          padding: [
            [1, 0],
            [0, 1],
          ],
        }),
      ),
    ).toEqual([6, 4, 9, 6]);
    expect(await compute(device(), t.conv2d(x, w, { padding: 1, stride: 2 }))).toEqual([4, 4, 4, 4]);
    expect(await compute(device(), t.conv2d(x, w, { padding: 1, stride: [2, 1] }))).toEqual([4, 6, 4, 4, 6, 4]);
    expect(await compute(device(), t.conv2d(x, w, { padding: 2, dilation: 2 }))).toEqual([4, 2, 4, 2, 1, 2, 4, 2, 4]);
    const bias = t.tensor([10]);
    expect(await compute(device(), t.conv2d(x, w, { bias }))).toEqual([19]);
  });

  test('convTranspose2d is the adjoint of conv2d', () =>
    holds(
      [images, seeds],
      async ({ batch, groups, inputs, outputs, size, kernel, stride, padding, dilation }, seed) => {
        const reach = kernel.map((k, a) => (k - 1) * entry(dilation, a) + 1);
        fc.pre(size.every((n, a) => n + 2 * entry(padding, a) >= entry(reach, a)));
        const out = size.map(
          (n, a) => Math.floor((n + 2 * entry(padding, a) - entry(reach, a)) / entry(stride, a)) + 1,
        );
        const x = whole([batch, groups * inputs, ...size], seed, -3, 3);
        const w = whole([groups * outputs, inputs, ...kernel], seed + 1, -3, 3);
        const y = whole([batch, groups * outputs, ...out], seed + 2, -3, 3);
        const outputPadding = size.map(
          (n, a) => n - ((entry(out, a) - 1) * entry(stride, a) - 2 * entry(padding, a) + entry(reach, a)),
        ) as [number, number];
        const options = { stride, padding, dilation, groups };
        const forward = t.conv2d(upload(x, 'f32'), upload(w, 'f32'), options);
        const backward = t.convTranspose2d(upload(y, 'f32'), upload(w, 'f32'), { ...options, outputPadding });
        expect(forward.shape).toEqual(y.shape);
        expect(backward.shape).toEqual(x.shape);
        const inner = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * entry(b, i), 0);
        const [left, right] = [await compute(device(), forward), await compute(device(), backward)];
        // Whole numbers: both sides are exact.
        expect(inner(left, y.data)).toBe(inner(x.data, right));
      },
      60,
    ));

  test('convTranspose2d scatters every element with the kernel', () =>
    holds(
      [images, seeds, pair(1, 0)],
      async ({ batch, groups, inputs, outputs, size, kernel, stride, padding, dilation }, seed, extra) => {
        const out = size.map(
          (n, a) =>
            (n - 1) * entry(stride, a) -
            2 * entry(padding, a) +
            entry(dilation, a) * (entry(kernel, a) - 1) +
            entry(extra, a) +
            1,
        );
        fc.pre(out.every((n) => n >= 1));
        const x = whole([batch, groups * inputs, ...size], seed, -3, 3);
        const w = whole([groups * inputs, outputs, ...kernel], seed + 1, -3, 3);
        const bias = whole([groups * outputs], seed + 2);
        const data = build([batch, groups * outputs, ...out], (i) => at(bias, [entry(i, 1)]));
        const sums = [...data.data];
        const strideOf = [groups * outputs * product(out), product(out), entry(out, 1), 1];
        for (const [n, c, h, v] of indicesOf(x.shape) as [number, number, number, number][]) {
          for (const [o, p, q] of indicesOf([outputs, ...kernel]) as [number, number, number][]) {
            const row = h * stride[0] - padding[0] + p * dilation[0];
            const column = v * stride[1] - padding[1] + q * dilation[1];
            if (row < 0 || column < 0 || row >= entry(out, 0) || column >= entry(out, 1)) continue;
            const channel = Math.floor(c / inputs) * outputs + o;
            const target = [n, channel, row, column].reduce((sum, i, a) => sum + i * entry(strideOf, a), 0);
            sums[target] = entry(sums, target) + at(x, [n, c, h, v]) * at(w, [c, o, p, q]);
          }
        }
        const actual = t.convTranspose2d(upload(x, 'f32'), upload(w, 'f32'), {
          stride,
          padding,
          dilation,
          groups,
          outputPadding: extra,
          bias: upload(bias, 'f32'),
        });
        await expectNd(device(), actual, { shape: data.shape, data: sums }, 'f32');
      },
      40,
    ));

  test('a large convolution', async () => {
    const one: Case = {
      x: [2, 5, 17, 13],
      w: [7, 5, 3, 3],
      options: {
        strides: [1, 1],
        before: [1, 1],
        after: [1, 1],
        inputDilation: [1, 1],
        kernelDilation: [1, 1],
        groups: 1,
      },
    };
    const [x, w] = [whole(one.x, 1), whole(one.w, 2)];
    await expectNd(device(), t.conv2d(upload(x, 'f32'), upload(w, 'f32'), { padding: 1 }), naive(x, w, one), 'f32');
  });

  test('a kernel of one element over a dilated input that is cropped to the size it had', async () => {
    const x = t.tensor([2, 3], { shape: [1, 1, 2] });
    const one = t.tensor([5], { shape: [1, 1, 1] });
    // Dilated to 2, 0, 3 and cropped to 2, 0.
    expect(await compute(device(), t.conv(x, one, { after: [-1], inputDilation: [2] }))).toEqual([10, 0]);
  });
}
