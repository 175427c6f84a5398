import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { entry, type Nd } from './naive.ts';
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
} from './support.ts';

const int32 = fc.oneof(
  fc.integer({ min: -2147483648, max: 2147483647 }),
  fc.integer({ min: -9, max: 9 }),
  fc.constantFrom(-2147483648, -2147483647, 2147483647, 65536, -65536),
);
const uint32 = fc.oneof(
  fc.integer({ min: 0, max: 4294967295 }),
  fc.integer({ min: 0, max: 9 }),
  fc.constantFrom(4294967295, 2147483648, 2147483647, 65536),
);

const vector = (data: readonly number[]): Nd => ({ shape: [data.length], data });

/** Division toward zero in unlimited integers, wrapped; 0 for a divisor of 0. */
const divide = (dtype: 'i32' | 'u32', a: number, b: number): number => {
  if (b === 0) return 0;
  const quotient = BigInt(a) / BigInt(b);
  return Number(dtype === 'i32' ? BigInt.asIntN(32, quotient) : BigInt.asUintN(32, quotient));
};

/** Python's `%`; the dividend itself for a divisor of 0, since the quotient is then 0. */
const modulo = (a: number, b: number): number => (b === 0 ? a : (((a % b) + b) % b) + 0);

/** The cast of a value by the docstring of `cast`, case by case. */
function converted(from: t.DType, to: t.DType, value: number): number {
  if (to === 'bool') return value === 0 ? 0 : 1;
  if (to === 'i32' || to === 'u32') {
    if (Number.isNaN(value)) return 0;
    const [low, high] = to === 'i32' ? [-2147483648, 2147483647] : [0, 4294967295];
    if (value <= low) return low;
    if (value >= high) return high;
    return value < 0 ? Math.ceil(value) : Math.floor(value);
  }
  return from === to ? value : stored(to, value);
}

/** i32 and u32 arithmetic at the edges, and conversions between all dtypes. */
export function integers(device: DeviceOf): void {
  for (const [dtype, values] of [
    ['i32', int32],
    ['u32', uint32],
  ] as const) {
    const pairs = fc.array(fc.tuple(values, values), { maxLength: 30 });

    test(`${dtype}: add, sub and mul wrap`, () =>
      holds([pairs], async (list) => {
        const wrap = (x: bigint) => Number(dtype === 'i32' ? BigInt.asIntN(32, x) : BigInt.asUintN(32, x));
        const [a, b] = [list.map(([x]) => x), list.map(([, y]) => y)];
        const [x, y] = [t.tensor(a, { dtype }), t.tensor(b, { dtype })];
        const by = (f: (p: bigint, q: bigint) => bigint) => vector(list.map(([p, q]) => wrap(f(BigInt(p), BigInt(q)))));
        await expectNd(
          device(),
          t.add(x, y),
          by((p, q) => p + q),
          dtype,
        );
        await expectNd(
          device(),
          t.sub(x, y),
          by((p, q) => p - q),
          dtype,
        );
        await expectNd(
          device(),
          t.mul(x, y),
          by((p, q) => p * q),
          dtype,
        );
      }));

    test(`${dtype}: div truncates, and gives 0 for a divisor of 0; remainder is Python's`, () =>
      holds([pairs], async (list) => {
        const x = t.tensor(
          list.map(([p]) => p),
          { dtype },
        );
        const y = t.tensor(
          list.map(([, q]) => q),
          { dtype },
        );
        await expectNd(device(), t.div(x, y), vector(list.map(([p, q]) => divide(dtype, p, q))), dtype);
        await expectNd(device(), t.remainder(x, y), vector(list.map(([p, q]) => modulo(p, q))), dtype);
      }));

    test(`${dtype}: order at the extremes`, () =>
      holds([fc.array(values, { minLength: 1, maxLength: 20 })], async (list) => {
        const x = t.tensor(list, { dtype });
        const least = list.reduce((a, b) => (a < b ? a : b));
        const most = list.reduce((a, b) => (a > b ? a : b));
        expect(await compute(device(), t.min(x))).toEqual([least]);
        expect(await compute(device(), t.max(x))).toEqual([most]);
        expect(await compute(device(), t.argMin(x, 0))).toEqual([list.indexOf(least)]);
        expect(await compute(device(), t.argMax(x, 0))).toEqual([list.indexOf(most)]);
        expect(await compute(device(), t.sort(x))).toEqual([...list].sort((a, b) => a - b));
        expect(await compute(device(), t.less(x, t.flip(x)))).toEqual(
          list.map((v, i) => Number(v < entry(list, list.length - 1 - i))),
        );
      }));

    test(`${dtype}: sums and products of matrices wrap`, () =>
      holds(
        [fc.array(values, { minLength: 6, maxLength: 6 }), fc.array(values, { minLength: 6, maxLength: 6 })],
        async (a, b) => {
          const wrap = (x: bigint) => Number(dtype === 'i32' ? BigInt.asIntN(32, x) : BigInt.asUintN(32, x));
          const total = (list: readonly bigint[]) => wrap(list.reduce((x, y) => x + y, 0n));
          expect(await compute(device(), t.sum(t.tensor(a, { dtype })))).toEqual([total(a.map(BigInt))]);
          const running = a.map((_, i) => total(a.slice(0, i + 1).map(BigInt)));
          expect(await compute(device(), t.cumsum(t.tensor(a, { dtype }), 0))).toEqual(running);
          const dot = total(a.map((x, i) => BigInt(x) * BigInt(entry(b, i))));
          expect(await compute(device(), t.matmul(t.tensor(a, { dtype }), t.tensor(b, { dtype })))).toEqual([dot]);
          const image = t.tensor(a, { dtype, shape: [1, 1, 6] });
          expect(await compute(device(), t.conv(image, t.tensor(b, { dtype, shape: [1, 1, 6] })))).toEqual([dot]);
          const collected = t.scatterAdd(
            t.zeros([1], { dtype }),
            t.zeros([6], { dtype: 'i32' }),
            t.tensor(a, { dtype }),
            0,
          );
          expect(await compute(device(), collected)).toEqual([total(a.map(BigInt))]);
        },
      ));
  }

  test('hand-computed quotients and remainders', async () => {
    const a = t.tensor([7, -7, 7, -7, 7, -2147483648], { dtype: 'i32' });
    const b = t.tensor([3, 3, -3, -3, 0, -1], { dtype: 'i32' });
    expect(await compute(device(), t.div(a, b))).toEqual([2, -2, -2, 2, 0, -2147483648]);
    expect(await compute(device(), t.remainder(a, b))).toEqual([1, 2, -2, -1, 7, 0]);
    expect(await compute(device(), t.div(t.tensor([5, 4294967295], { dtype: 'u32' }), 0))).toEqual([0, 0]);
  });

  test('casts between all pairs of dtypes', () =>
    holds(
      [shapes(), seeds],
      async (shape, seed) => {
        for (const from of had(device(), every)) {
          const x = filled(shape, seed, from);
          for (const to of had(device(), every)) {
            const expected = { shape, data: x.data.map((value) => converted(from, to, value)) };
            await expectNd(device(), t.cast(upload(x, from), to), expected, to);
          }
        }
      },
      10,
    ));

  test('casts to integers truncate, saturate and make 0 of NaN', async () => {
    for (const dtype of had(device(), ['f64', 'f32'])) {
      const x = t.tensor([2.9, -2.9, -0.5, 3e9, -3e9, 1e20, -1e20, Infinity, -Infinity, NaN], { dtype });
      expect(await compute(device(), t.cast(x, 'i32'))).toEqual([
        2, -2, 0, 2147483647, -2147483648, 2147483647, -2147483648, 2147483647, -2147483648, 0,
      ]);
      expect(await compute(device(), t.cast(x, 'u32'))).toEqual([
        2, 0, 0, 3000000000, 0, 4294967295, 0, 4294967295, 0, 0,
      ]);
      expect(await compute(device(), t.cast(x, 'bool'))).toEqual(new Array(10).fill(1));
    }
    const i32 = t.tensor([-1, -2147483648, 2147483647], { dtype: 'i32' });
    expect(await compute(device(), t.cast(i32, 'u32'))).toEqual([0, 0, 2147483647]);
    const u32 = t.tensor([4294967295, 2147483648, 5], { dtype: 'u32' });
    expect(await compute(device(), t.cast(u32, 'i32'))).toEqual([2147483647, 2147483647, 5]);
    // 2^24 + 1 is half-way between two f32; 2^32 − 1 rounds up.
    expect(await compute(device(), t.cast(t.tensor([16777217, 16777219], { dtype: 'i32' }), 'f32'))).toEqual([
      16777216, 16777220,
    ]);
    expect(await compute(device(), t.cast(u32, 'f32'))).toEqual([4294967296, 2147483648, 5]);
    // Numbers up to 2^24 − 1 are exact in f32, all are in f64.
    if (device().dtypes.has('f64')) {
      expect(await compute(device(), t.cast(t.cast(u32, 'f64'), 'u32'))).toEqual([4294967295, 2147483648, 5]);
    }
  });

  test("numbers out of range of the tensor's dtype are refused", () => {
    for (const dtype of numeric.filter((d) => d === 'i32' || d === 'u32')) {
      const x = t.ones([2], { dtype });
      expect(() => t.add(x, 0.5)).toThrow(`add: 0.5 is not a value of ${dtype}`);
      expect(() => t.mul(x, 2 ** 32)).toThrow(`mul: 4294967296 is not a value of ${dtype}`);
    }
    expect(() => t.add(t.ones([2], { dtype: 'u32' }), -1)).toThrow('add: -1 is not a value of u32');
    expect(() => t.equal(t.ones([2], { dtype: 'bool' }), 2)).toThrow('equal: 2 is not a value of bool');
  });
}
