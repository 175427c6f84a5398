import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, broadcastAt, build, entry, type Nd } from './naive.ts';
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
  shapes,
  sizes,
  stored,
  upload,
  whole,
} from './support.ts';

/** Operands of every rank that NumPy's rules allow, batch axes shrunk to 1 or left out at random. */
const operands = fc
  .record({
    batch: shapes(2),
    ones: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    dropped: fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 2 })),
    m: sizes,
    k: sizes,
    n: sizes,
    vectors: fc.tuple(fc.boolean(), fc.boolean()),
  })
  .map(({ batch, ones, dropped, m, k, n, vectors }) => {
    const lead = (side: 0 | 1) => batch.map((size, i) => (ones[2 * side + i] === true ? 1 : size)).slice(dropped[side]);
    return {
      a: vectors[0] ? [k] : [...lead(0), m, k],
      b: vectors[1] ? [k] : [...lead(1), k, n],
    };
  });

/** The product by NumPy's description: vectors become matrices, batch axes broadcast, and the added axes are dropped. */
function product(a: Nd, b: Nd): Nd {
  const left: Nd = a.shape.length === 1 ? { shape: [1, ...a.shape], data: a.data } : a;
  const right: Nd = b.shape.length === 1 ? { shape: [...b.shape, 1], data: b.data } : b;
  const rank = Math.max(left.shape.length, right.shape.length);
  const size = (x: Nd, axis: number) => x.shape[x.shape.length - rank + axis] ?? 1;
  const batch = Array.from({ length: rank - 2 }, (_, axis) => {
    const [p, q] = [size(left, axis), size(right, axis)];
    return p === 1 ? q : p;
  });
  const inner = entry(left.shape, left.shape.length - 1);
  const [m, n] = [entry(left.shape, left.shape.length - 2), entry(right.shape, right.shape.length - 1)];
  const full = build([...batch, m, n], (index) => {
    const [lead, i, j] = [index.slice(0, -2), entry(index, rank - 2), entry(index, rank - 1)];
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += broadcastAt(left, [...lead, i, k]) * broadcastAt(right, [...lead, k, j]);
    return sum;
  });
  const shape = [...batch, ...(a.shape.length === 1 ? [] : [m]), ...(b.shape.length === 1 ? [] : [n])];
  return { shape, data: full.data };
}

const rounded = (x: Nd, dtype: t.DType): Nd => ({ ...x, data: x.data.map((value) => stored(dtype, value)) });

/** Matrix products of every rank. */
export function matmul(device: DeviceOf): void {
  test('matmul of whole numbers, by the rank rules of NumPy', () =>
    holds(
      [operands, seeds],
      async ({ a, b }, seed) => {
        for (const dtype of had(device(), numeric)) {
          const least = dtype === 'u32' ? 0 : -4;
          const [x, y] = [whole(a, seed, least, 5), whole(b, seed + 1, least, 5)];
          const actual = t.matmul(upload(x, dtype), upload(y, dtype));
          await expectNd(device(), actual, rounded(product(x, y), dtype), dtype);
        }
      },
      60,
    ));

  test('matmul of fractions is rounded once', () =>
    holds(
      [operands, seeds],
      async ({ a, b }, seed) => {
        for (const dtype of had(device(), floats)) {
          const [x, y] = [filled(a, seed, dtype), filled(b, seed + 1, dtype)];
          const size = (v: Nd): Nd => ({ ...v, data: v.data.map(Math.abs) });
          const bounds = product(size(x), size(y)).data;
          // Products of up to 7 terms: the order of f64 (or f32) additions is free.
          const unit = dtype === 'f64' || device().name === 'reference' ? 2 ** -50 : 2 ** -21;
          const absolute = (i: number) => entry(bounds, i) * unit;
          const actual = t.matmul(upload(x, dtype), upload(y, dtype));
          await expectNd(device(), actual, rounded(product(x, y), dtype), dtype, { ulps: 1, absolute });
        }
      },
      40,
    ));

  test('sizes that no block or workgroup divides', async () => {
    for (const [m, k, n] of [
      [1, 257, 1],
      [17, 1, 19],
      [65, 67, 31],
      [129, 33, 130],
    ] as const) {
      const [x, y] = [whole([m, k], m, -4, 4), whole([k, n], n, -4, 4)];
      const expected = new Array<number>(m * n).fill(0);
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) sum += entry(x.data, i * k + l) * entry(y.data, l * n + j);
          expected[i * n + j] = sum;
        }
      }
      const actual = t.matmul(upload(x, 'f32'), upload(y, 'f32'));
      await expectNd(device(), actual, { shape: [m, n], data: expected }, 'f32');
    }
  });

  test('f16 products accumulate in f32 or better', async () => {
    // 60000 + 60000 overflows f16 on the way, but the result is in range.
    const a = t.tensor([300, 300, 300], { dtype: 'f16' });
    const b = t.tensor([200, 200, -200], { dtype: 'f16' });
    expect(await compute(device(), t.matmul(a, b))).toEqual([60000]);
    // 2048 + 1 is no f16, so adding ones in f16 would stay at 2048.
    const ones = t.ones([4096], { dtype: 'f16' });
    expect(await compute(device(), t.matmul(ones, ones))).toEqual([4096]);
  });

  test('linear is x·wᵀ + b over the last axis', () =>
    holds(
      [shapes(2), sizes, sizes, seeds],
      async (lead, inputs, outputs, seed) => {
        for (const dtype of had(device(), numeric)) {
          const least = dtype === 'u32' ? 0 : -4;
          const x = whole([...lead, inputs], seed, least, 5);
          const w = whole([outputs, inputs], seed + 1, least, 5);
          const b = whole([outputs], seed + 2, least, 5);
          const plain = build([...lead, outputs], (index) => {
            const o = entry(index, lead.length);
            let sum = 0;
            for (let i = 0; i < inputs; i++) sum += at(x, [...index.slice(0, -1), i]) * at(w, [o, i]);
            return sum;
          });
          const shifted = build(plain.shape, (i) => stored(dtype, at(plain, i) + at(b, [entry(i, lead.length)])));
          const [xs, ws, bs] = [upload(x, dtype), upload(w, dtype), upload(b, dtype)];
          await expectNd(device(), t.linear(xs, ws), rounded(plain, dtype), dtype);
          // Sums are below 2^11, so the product is exact in f16; in bf16 its rounding is the only one that may count.
          const ulps = dtype === 'bf16' ? 1 : 0;
          await expectNd(device(), t.linear(xs, ws, bs), shifted, dtype, { ulps, absolute: dtype === 'bf16' ? 1 : 0 });
        }
      },
      25,
    ));

  test('outer multiplies all pairs', () =>
    holds([sizes, sizes, seeds], async (m, n, seed) => {
      const [x, y] = [whole([m], seed), whole([n], seed + 1)];
      const expected = build([m, n], (index) => at(x, [entry(index, 0)]) * at(y, [entry(index, 1)]));
      await expectNd(device(), t.outer(upload(x, 'f32'), upload(y, 'f32')), expected, 'f32');
    }));
}
