import { describe, expect, test } from 'vitest';
import type { ConvAttributes } from '../../../tensor/primitives.ts';
import { sizeOf, stridesOf } from '../../../tensor/shape.ts';
import { planConv } from '../../../tensor/wasm/contractions/conv/plan.ts';
import type { ContractionDType, View } from '../../../tensor/wasm/contractions/plan.ts';
import { generator, randomValues, roundingBound, runPlan, untouchedValue } from './contractionsRunner.ts';

const random = generator(11);
const whole = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
const pick = <T>(list: readonly T[]): T => list[whole(0, list.length - 1)] as T;

/** A view of that shape, its dimensions stored in any order unless it is tidy. */
function viewOf(shape: readonly number[], tidy: boolean): View {
  if (tidy) return { shape };
  const order = shape.map((_, i) => i).sort(() => random() - 0.5);
  const strides = new Array<number>(shape.length).fill(0);
  let length = 1;
  let offset = 0;
  for (const axis of order) {
    const size = shape[axis] as number;
    const backwards = random() < 0.2;
    strides[axis] = backwards ? -length : length;
    if (backwards) offset += Math.max(0, size - 1) * length;
    length *= size;
  }
  return { shape, strides, offset };
}

/** Calls f with every index of a shape. */
function each(shape: readonly number[], f: (index: readonly number[]) => void, prefix: readonly number[] = []): void {
  const [size, ...rest] = shape;
  if (size === undefined) f(prefix);
  else for (let i = 0; i < size; i++) each(rest, f, [...prefix, i]);
}

/** Where the elements of a view are, in row-major order. */
function placesOf({ shape, strides = stridesOf(shape), offset = 0 }: View): Int32Array {
  const places = new Int32Array(sizeOf(shape));
  let i = 0;
  each(shape, (index) => {
    places[i++] = index.reduce((sum, n, axis) => sum + n * (strides[axis] as number), offset);
  });
  return places;
}

interface Item {
  readonly dtype: ContractionDType;
  readonly images: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly sizes: readonly number[];
  readonly kernel: readonly number[];
  readonly attributes: ConvAttributes;
  readonly tidy: boolean;
}

function check({ dtype, images, inputs, outputs, sizes, kernel, attributes, tidy }: Item): void {
  const { strides, before, after, inputDilation, kernelDilation, groups } = attributes;
  const one = (list: readonly number[], axis: number): number => list[axis] as number;
  const out = sizes.map((size, axis) => {
    const dilated = Math.max(0, (size - 1) * one(inputDilation, axis) + 1);
    const window = (one(kernel, axis) - 1) * one(kernelDilation, axis) + 1;
    return Math.floor((dilated + one(before, axis) + one(after, axis) - window) / one(strides, axis)) + 1;
  });
  if (out.some((size) => size < 1)) return;
  const x = viewOf([images, groups * inputs, ...sizes], tidy);
  const w = viewOf([groups * outputs, inputs, ...kernel], tidy);
  const y = viewOf([images, groups * outputs, ...out], tidy);
  const xValues = randomValues(dtype, sizeOf(x.shape), random);
  const wValues = randomValues(dtype, sizeOf(w.shape), random);
  const plan = planConv(dtype, { x, w, out: y }, attributes);
  const arrays = { a: xValues, b: wValues, out: sizeOf(y.shape) };
  const found = runPlan(plan, dtype, arrays);
  const float = dtype === 'f32' || dtype === 'f64';
  const xPlaces = placesOf(x);
  const wPlaces = placesOf(w);
  const yPlaces = placesOf(y);
  const [places, taps, positions] = [sizes, kernel, out].map(sizeOf) as [number, number, number];
  const outIndices: (readonly number[])[] = [];
  each(out, (q) => outIndices.push(q));
  const tapIndices: (readonly number[])[] = [];
  each(kernel, (k) => tapIndices.push(k));
  const sizesStrides = stridesOf(sizes);
  outIndices.forEach((q, position) => {
    const met = tapIndices.flatMap((k, tap) => {
      let place = 0;
      for (let axis = 0; axis < k.length; axis++) {
        const dilated =
          one(q, axis) * one(strides, axis) + one(k, axis) * one(kernelDilation, axis) - one(before, axis);
        const p = dilated / one(inputDilation, axis);
        if (p < 0 || !Number.isInteger(p) || p >= one(sizes, axis)) return [];
        place += p * one(sizesStrides, axis);
      }
      return [{ tap, place }];
    });
    for (let image = 0; image < images; image++) {
      for (let o = 0; o < groups * outputs; o++) {
        let sum = 0;
        let magnitude = 0;
        for (let i = 0; i < inputs; i++) {
          const channel = (image * groups * inputs + Math.floor(o / outputs) * inputs + i) * places;
          const filter = (o * inputs + i) * taps;
          for (const { tap, place } of met) {
            const a = xValues[xPlaces[channel + place] as number] as number;
            const b = wValues[wPlaces[filter + tap] as number] as number;
            sum = float ? sum + a * b : (sum + Math.imul(a, b)) | 0;
            magnitude += Math.abs(a * b);
          }
        }
        const value = found[yPlaces[(image * groups * outputs + o) * positions + position] as number] as number;
        const bound = roundingBound(dtype, inputs * taps, magnitude);
        if (float ? !(Math.abs(value - sum) <= bound) : (value | 0) !== sum) {
          throw new Error(
            `${dtype} ${JSON.stringify({ x, w, y, attributes, image, o, q })}: ${value} instead of ${sum}`,
          );
        }
      }
    }
  });
  expect(found.includes(untouchedValue(dtype))).toBe(false);
  const shuffled = runPlan(plan, dtype, arrays, {
    shuffle: (count) => Array.from({ length: count }, (_, i) => i).sort(() => random() - 0.5),
    threads: 3,
  });
  expect(Buffer.compare(new Uint8Array(found.buffer), new Uint8Array(shuffled.buffer))).toBe(0);
}

const plain = (rank: number, more: Partial<ConvAttributes> = {}): ConvAttributes => {
  const all = (value: number): number[] => new Array<number>(rank).fill(value);
  return {
    strides: all(1),
    before: all(1),
    after: all(1),
    inputDilation: all(1),
    kernelDilation: all(1),
    groups: 1,
    ...more,
  };
};

const base = { dtype: 'f32', images: 2, inputs: 5, outputs: 7, tidy: true } as const;

describe.each(['f32', 'f64', 'i32', 'u32'] as const)('conv of %s', (dtype) => {
  test.each([0, 1, 2, 3])('agrees with sums in f64, %i spatial axes', (rank) => {
    const list = (low: number, high: number): number[] => Array.from({ length: rank }, () => whole(low, high));
    const count = [20, 250, 400, 120][rank] as number;
    for (let i = 0; i < count; i++) {
      check({
        dtype,
        images: whole(1, 3),
        inputs: whole(1, 6),
        outputs: whole(1, 6),
        sizes: list(1, [0, 40, 13, 6][rank] as number),
        kernel: list(1, rank === 3 ? 3 : 5),
        tidy: random() < 0.5,
        attributes: {
          strides: list(1, 3),
          before: list(-2, 3),
          after: list(-2, 3),
          inputDilation: random() < 0.6 ? plain(rank).strides : list(1, 3),
          kernelDilation: random() < 0.5 ? plain(rank).strides : list(1, 3),
          groups: pick([1, 1, 2, 3]),
        },
      });
    }
  });

  test('of more than one tile and block', () => {
    check({ ...base, dtype, inputs: 35, outputs: 197, sizes: [7, 9], kernel: [3, 3], attributes: plain(2) });
    check({ ...base, dtype, inputs: 3, outputs: 20, sizes: [33, 31], kernel: [3, 3], attributes: plain(2) });
    check({
      ...base,
      dtype,
      inputs: 300,
      images: 3,
      sizes: [10, 10],
      kernel: [1, 1],
      attributes: plain(2, { before: [0, 0], after: [0, 0] }),
    });
  });

  test('of kernels larger than the output, as in gradients by kernels', () => {
    for (const kernelDilation of [
      [1, 1],
      [2, 2],
      [1, 3],
    ]) {
      const attributes = plain(2, { kernelDilation, strides: [1, pick([1, 2])] });
      check({
        ...base,
        dtype,
        sizes: [21, 25],
        kernel: [19, 23],
        attributes: plain(2, { before: [0, 0], after: [0, 0] }),
      });
      check({ ...base, dtype, images: 9, sizes: [30, 30], kernel: [10, 10], attributes });
    }
  });

  test('of nothing', () => {
    check({ ...base, dtype, inputs: 0, sizes: [4, 4], kernel: [3, 3], attributes: plain(2) });
    check({ ...base, dtype, sizes: [0, 3], kernel: [2, 3], attributes: plain(2) });
    check({ ...base, dtype, images: 0, sizes: [4, 4], kernel: [3, 3], attributes: plain(2) });
  });
});
