import { describe, expect, test } from 'vitest';
import { planMatmul } from '../../../tensor/wasm/contractions/matmul/plan.ts';
import type { ContractionDType, View } from '../../../tensor/wasm/contractions/plan.ts';
import { generator, randomValues, roundingBound, runPlan, untouchedValue } from './contractionsRunner.ts';

const random = generator(7);
const whole = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
const pick = <T>(list: readonly T[]): T => list[whole(0, list.length - 1)] as T;

/** A view of that shape with its dimensions stored in any order, some backwards, apart or broadcast. */
function randomView(shape: readonly number[], broadcast: boolean, tidy: boolean): { view: View; length: number } {
  const order = shape.map((_, i) => i);
  if (!tidy) order.sort(() => random() - 0.5);
  const strides = new Array<number>(shape.length).fill(0);
  let length = 1;
  let offset = 0;
  for (const axis of order.reverse()) {
    const size = shape[axis] as number;
    if (broadcast && random() < 0.2) continue;
    const step = tidy ? 1 : pick([1, 1, 1, 2]);
    const backwards = !tidy && size > 0 && random() < 0.15;
    strides[axis] = (backwards ? -1 : 1) * length * step;
    if (backwards) offset += (size - 1) * length * step;
    length *= Math.max(1, size) * step;
  }
  return { view: { shape, strides, offset }, length };
}

const at = ({ strides = [], offset = 0 }: View, index: readonly number[]): number =>
  index.reduce((sum, i, axis) => sum + i * (strides[axis] as number), offset);

function check(
  dtype: ContractionDType,
  batch: readonly number[],
  m: number,
  k: number,
  n: number,
  tidy: boolean,
): void {
  const a = randomView([...batch, m, k], true, tidy);
  const b = randomView([...batch, k, n], true, tidy);
  const out = randomView([...batch, m, n], false, tidy);
  const [aValues, bValues] = [randomValues(dtype, a.length, random), randomValues(dtype, b.length, random)];
  const plan = planMatmul(dtype, { a: a.view, b: b.view, out: out.view });
  const inputs = { a: aValues, b: bValues, out: out.length };
  const found = runPlan(plan, dtype, inputs);
  const expected = found.slice().fill(untouchedValue(dtype));
  const bounds = new Float64Array(out.length);
  const total = batch.reduce((x, y) => x * y, 1);
  for (let t = 0; t < total; t++) {
    const place: number[] = [];
    let rest = t;
    for (const size of batch.toReversed()) {
      place.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        let magnitude = 0;
        for (let l = 0; l < k; l++) {
          const x = aValues[at(a.view, [...place, i, l])] as number;
          const y = bValues[at(b.view, [...place, l, j])] as number;
          const product = dtype === 'f32' || dtype === 'f64' ? x * y : Math.imul(x, y);
          sum = dtype === 'f32' || dtype === 'f64' ? sum + product : (sum + product) | 0;
          magnitude += Math.abs(product);
        }
        const where = at(out.view, [...place, i, j]);
        expected[where] = sum;
        bounds[where] = roundingBound(dtype, k, magnitude);
      }
    }
  }
  for (let i = 0; i < found.length; i++) {
    const [x, y] = [found[i] as number, expected[i] as number];
    const exact = dtype === 'i32' || dtype === 'u32' || bounds[i] === 0;
    if (exact ? x !== y : !(Math.abs(x - y) <= (bounds[i] as number))) {
      const shapes = JSON.stringify({ a: a.view, b: b.view, out: out.view });
      throw new Error(`${dtype} ${shapes}: element ${i} is ${x} instead of ${y}`);
    }
  }
  const shuffled = runPlan(plan, dtype, inputs, {
    shuffle: (count) => Array.from({ length: count }, (_, i) => i).sort(() => random() - 0.5),
    threads: 3,
  });
  expect(Buffer.compare(new Uint8Array(found.buffer), new Uint8Array(shuffled.buffer))).toBe(0);
}

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 33];

describe.each(['f32', 'f64', 'i32', 'u32'] as const)('matmul of %s', (dtype) => {
  test('agrees with sums in f64, for any strides', () => {
    for (let i = 0; i < 150; i++) {
      const batch = pick([[], [], [1], [3], [2, 3], [1, 2, 2]]);
      check(dtype, batch, pick(sizes), pick(sizes), pick(sizes), random() < 0.4);
    }
  });

  test('of sizes beyond one tile or block', () => {
    check(dtype, [], 211, 263, 47, true);
    check(dtype, [], 203, 30, 300, false);
    check(dtype, [2], 197, 3, 70, true);
    check(dtype, [], 5, 600, 9, true);
    check(dtype, [], 2, 1100, 37, false);
    check(dtype, [], 37, 1030, 1, true);
  });

  test('of one row or column', () => {
    for (const [m, n] of [
      [1, 1],
      [1, 40],
      [40, 1],
      [3, 600],
      [600, 2],
    ] as const) {
      for (const k of [1, 5, 300]) for (const tidy of [true, false]) check(dtype, pick([[], [2]]), m, k, n, tidy);
    }
  });

  test('of empty dimensions', () => {
    check(dtype, [], 5, 0, 7, true);
    check(dtype, [], 1, 0, 7, true);
    check(dtype, [2], 250, 0, 7, true);
    check(dtype, [], 0, 3, 7, true);
    check(dtype, [0], 3, 3, 7, true);
  });
});
