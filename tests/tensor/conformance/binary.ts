import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, broadcastAt, build, entry, generator, type Nd, ulp } from './naive.ts';
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
} from './support.ts';

/** Shapes that broadcast together, and the result: one shape with axes dropped in front or shrunk to 1. */
const together = (count: number): fc.Arbitrary<{ shape: number[]; parts: number[][] }> =>
  shapes().chain((shape) =>
    fc
      .array(fc.tuple(fc.nat({ max: shape.length }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 })), {
        minLength: count,
        maxLength: count,
      })
      .map((choices) => {
        const parts = choices.map(([dropped, shrunk]) =>
          shape.map((size, axis) => (shrunk[axis] === true ? 1 : size)).slice(dropped),
        );
        const result = shape.map((_, axis) => {
          const seen = parts.map((part) => part[part.length - shape.length + axis]).filter((n) => n !== undefined);
          return seen.find((n) => n !== 1) ?? (seen.length > 0 ? 1 : undefined);
        });
        return { shape: result.filter((n) => n !== undefined), parts };
      }),
  );

const both = (shape: readonly number[], a: Nd, b: Nd, f: (x: number, y: number) => number): Nd =>
  build(shape, (index) => f(broadcastAt(a, index), broadcastAt(b, index)));

/** a − ⌊a/b⌋·b of finite numbers, in whole multiples of the smaller unit, then rounded to f64. */
function exactRemainder(a: number, b: number): number {
  const unit = Math.min(ulp('f64', a), ulp('f64', b));
  const whole = (x: number): bigint => {
    const own = ulp('f64', x);
    return BigInt(x / own) << BigInt(Math.log2(own) - Math.log2(unit));
  };
  const rest = whole(a) % whole(b);
  return Number(rest !== 0n && rest < 0n !== b < 0 ? rest + whole(b) : rest) * unit;
}

type Operator = (a: t.Tensor, b: t.Tensor) => t.Tensor;

const arithmetic: Readonly<Record<string, readonly [Operator, (a: number, b: number) => number]>> = {
  add: [t.add, (a, b) => a + b],
  sub: [t.sub, (a, b) => a - b],
  maximum: [t.maximum, (a, b) => (a > b ? a : b)],
  minimum: [t.minimum, (a, b) => (a < b ? a : b)],
};

const comparisons: Readonly<Record<string, readonly [Operator, (a: number, b: number) => boolean]>> = {
  equal: [t.equal, (a, b) => a === b],
  notEqual: [t.notEqual, (a, b) => a !== b],
  less: [t.less, (a, b) => a < b],
  lessEqual: [t.lessEqual, (a, b) => a <= b],
  greater: [t.greater, (a, b) => a > b],
  greaterEqual: [t.greaterEqual, (a, b) => a >= b],
};

/** Elementwise operators of two or three inputs against nested loops, with broadcasting, on every dtype. */
export function binary(device: DeviceOf): void {
  for (const [name, [apply, f]] of Object.entries(arithmetic)) {
    test(`${name} broadcasts and rounds once or wraps`, () =>
      holds(
        [together(2), seeds],
        async ({ shape, parts }, seed) => {
          for (const dtype of had(device(), numeric)) {
            const [a, b] = [filled(entry(parts, 0), seed, dtype), filled(entry(parts, 1), seed + 1, dtype)];
            const expected = both(shape, a, b, (x, y) => stored(dtype, f(x, y)));
            await expectNd(device(), apply(upload(a, dtype), upload(b, dtype)), expected, dtype);
          }
        },
        20,
      ));
  }

  test('mul broadcasts and rounds once or wraps', () =>
    holds(
      [together(2), seeds],
      async ({ shape, parts }, seed) => {
        for (const dtype of had(device(), numeric)) {
          const [a, b] = [filled(entry(parts, 0), seed, dtype), filled(entry(parts, 1), seed + 1, dtype)];
          const wrap = (x: number, y: number) => {
            const low = BigInt.asIntN(32, BigInt(x) * BigInt(y));
            return Number(dtype === 'u32' ? BigInt.asUintN(32, low) : low);
          };
          const integers = dtype === 'i32' || dtype === 'u32';
          const expected = both(shape, a, b, (x, y) => (integers ? wrap(x, y) : stored(dtype, x * y)));
          await expectNd(device(), t.mul(upload(a, dtype), upload(b, dtype)), expected, dtype);
        }
      },
      20,
    ));

  test('div of floats', () =>
    holds(
      [together(2), seeds],
      async ({ shape, parts }, seed) => {
        for (const dtype of had(device(), floats)) {
          const [a, b] = [filled(entry(parts, 0), seed, dtype), filled(entry(parts, 1), seed + 1, dtype)];
          const nonzero = { ...b, data: b.data.map((x) => (x === 0 ? 1 : x)) };
          const expected = both(shape, a, nonzero, (x, y) => stored(dtype, x / y));
          const ulps = device().name === 'reference' ? 0 : slack(device(), dtype);
          await expectNd(device(), t.div(upload(a, dtype), upload(nonzero, dtype)), expected, dtype, { ulps });
        }
      },
      20,
    ));

  test('pow of positive bases', () =>
    holds(
      [together(2), seeds],
      async ({ shape, parts }, seed) => {
        for (const dtype of had(device(), floats)) {
          const [a, b] = [filled(entry(parts, 0), seed, dtype), filled(entry(parts, 1), seed + 1, dtype)];
          const base = { ...a, data: a.data.map((x) => stored(dtype, 0.25 + Math.abs(x) / 16)) };
          const exponent = { ...b, data: b.data.map((x) => stored(dtype, x / 4)) };
          const expected = both(shape, base, exponent, (x, y) => stored(dtype, x ** y));
          const ulps = slack(device(), dtype);
          await expectNd(device(), t.pow(upload(base, dtype), upload(exponent, dtype)), expected, dtype, { ulps });
        }
      },
      20,
    ));

  test('remainder of floats is exact, whatever the quotient', async () => {
    const random = generator(8);
    for (const dtype of had(device(), floats)) {
      // Quotients from 2^-20 to 2^80; for halves, as far as their range allows.
      const reach = dtype === 'f16' ? 12 : 40;
      const draw = () => stored(dtype, (random() + 0.5) * 2 ** Math.round((random() * 2 - 1) * reach) || 1);
      const sign = () => (random() < 0.5 ? -1 : 1);
      const count = 400;
      const [a, b] = [draw, draw].map((next) => Array.from({ length: count }, () => sign() * next())) as [
        number[],
        number[],
      ];
      // Equal magnitudes, multiples, and divisors just above and below the dividend.
      for (let i = 0; i < count; i += 8) a[i] = entry(b, i) * (i % 16 === 0 ? 4 : -1);
      const values = await compute(device(), t.remainder(t.tensor(a, { dtype }), t.tensor(b, { dtype })));
      values.forEach((value, i) => {
        const [x, y] = [stored(dtype, entry(a, i)), stored(dtype, entry(b, i))];
        const expected = stored(dtype, exactRemainder(x, y));
        expect(value, `${dtype}: ${x} % ${y}`).toBe(expected === 0 ? (y < 0 ? -0 : 0) : expected);
      });
    }
  });

  test('well-known remainders', async () => {
    const rows: readonly (readonly [number, number, number])[] = [
      [57042500, 3, 2],
      [-57042500, 3, 1],
      [57042500, -3, -1],
      [-57042500, -3, -2],
      [2 ** 100, 3, 1],
      [-(2 ** 100), 3, 2],
      [16777213, 2, 1],
      [5.5, 2, 1.5],
      [-6, 3, 0],
      [6, -3, -0],
      [0, 3, 0],
      [3, 3, 0],
      [2 ** -100, 3, 2 ** -100],
      // Exactly 3 minus a tiny number, which rounds to 3.
      [-(2 ** -100), 3, 3],
    ];
    for (const dtype of had(device(), ['f64', 'f32'] as const)) {
      const [a, b] = [0, 1].map((side) =>
        t.tensor(
          rows.map((row) => entry(row, side)),
          { dtype },
        ),
      ) as [t.Tensor, t.Tensor];
      expect(await compute(device(), t.remainder(a, b))).toEqual(rows.map(([, , rest]) => rest));
    }
    const [billion, pi] = [t.tensor(1e9), t.tensor(Math.PI)];
    expect(await compute(device(), t.remainder(billion, pi))).toEqual([Math.fround(1.024195)]);
    if (!device().dtypes.has('f64')) return;
    const wide = (x: number) => t.tensor(x, { dtype: 'f64' });
    expect(await compute(device(), t.remainder(wide(1e9), Math.PI))).toEqual([0.5773954624831035]);
    expect(await compute(device(), t.remainder(wide(1), 0.1))).toEqual([0.09999999999999995]);
    expect(await compute(device(), t.remainder(wide(1e300), 7e-300))).toEqual([exactRemainder(1e300, 7e-300)]);
    const least = Number.MIN_VALUE;
    expect(await compute(device(), t.remainder(wide(5 * least), 2 * least))).toEqual([least]);
    expect(await compute(device(), t.remainder(wide(-(2 ** -1000)), 3 * least))).toEqual([2 * least]);
  });

  for (const [name, [apply, f]] of Object.entries(comparisons)) {
    test(`${name} gives bools`, () =>
      holds(
        [together(2), seeds],
        async ({ shape, parts }, seed) => {
          const list = name === 'equal' || name === 'notEqual' ? every : numeric;
          for (const dtype of had(device(), list)) {
            const a = filled(entry(parts, 0), seed, dtype);
            const other = filled(entry(parts, 1), seed + 1, dtype);
            // Half of the elements are copied from the other side, so that some are equal.
            const b = { ...other, data: other.data.map((x, i) => (i % 2 === 0 ? (a.data[i] ?? x) : x)) };
            const expected = both(shape, a, b, (x, y) => Number(f(x, y)));
            await expectNd(device(), apply(upload(a, dtype), upload(b, dtype)), expected, 'bool');
          }
        },
        15,
      ));
  }

  test('logicalAnd and logicalOr', () =>
    holds([together(2), seeds], async ({ shape, parts }, seed) => {
      const [a, b] = [filled(entry(parts, 0), seed, 'bool'), filled(entry(parts, 1), seed + 1, 'bool')];
      const and = both(shape, a, b, (x, y) => x * y);
      const or = both(shape, a, b, (x, y) => (x + y > 0 ? 1 : 0));
      await expectNd(device(), t.logicalAnd(upload(a, 'bool'), upload(b, 'bool')), and, 'bool');
      await expectNd(device(), t.logicalOr(upload(a, 'bool'), upload(b, 'bool')), or, 'bool');
    }));

  test('where broadcasts all three', () =>
    holds(
      [together(3), seeds],
      async ({ shape, parts }, seed) => {
        for (const dtype of had(device(), every)) {
          const condition = filled(entry(parts, 0), seed, 'bool');
          const [a, b] = [filled(entry(parts, 1), seed + 1, dtype), filled(entry(parts, 2), seed + 2, dtype)];
          const expected = build(shape, (i) => broadcastAt(broadcastAt(condition, i) === 1 ? a : b, i));
          const chosen = t.where(upload(condition, 'bool'), upload(a, dtype), upload(b, dtype));
          await expectNd(device(), chosen, expected, dtype);
        }
      },
      20,
    ));

  test('clamp limits on one side or both', () =>
    holds(
      [shapes(), seeds],
      async (shape, seed) => {
        for (const dtype of had(device(), numeric)) {
          const x = filled(shape, seed, dtype);
          const [low, high] = [1, 3];
          const low1 = { shape, data: x.data.map((v) => (v < low ? low : v)) };
          const high1 = { shape, data: x.data.map((v) => (v > high ? high : v)) };
          const both1 = { shape, data: low1.data.map((v) => (v > high ? high : v)) };
          await expectNd(device(), t.clamp(upload(x, dtype), { min: low }), low1, dtype);
          await expectNd(device(), t.clamp(upload(x, dtype), { max: high }), high1, dtype);
          await expectNd(device(), t.clamp(upload(x, dtype), low, high), both1, dtype);
          await expectNd(device(), t.clamp(upload(x, dtype), { min: low, max: high }), both1, dtype);
        }
      },
      20,
    ));

  test('a number takes the dtype of the tensor beside it, on either side', () =>
    holds(
      [shapes(), seeds],
      async (shape, seed) => {
        for (const dtype of had(device(), numeric)) {
          const x = filled(shape, seed, dtype);
          const minus = build(shape, (i) => stored(dtype, 3 - at(x, i)));
          const plus = build(shape, (i) => stored(dtype, at(x, i) - 3));
          await expectNd(device(), t.sub(3, upload(x, dtype)), minus, dtype);
          await expectNd(device(), t.sub(upload(x, dtype), 3), plus, dtype);
        }
      },
      20,
    ));

  test('a number is rounded to the dtype before the operator', async () => {
    for (const dtype of had(device(), floats)) {
      const tenth = stored(dtype, 0.1);
      expect(await compute(device(), t.mul(t.tensor([3], { dtype }), 0.1))).toEqual([stored(dtype, 3 * tenth)]);
    }
  });
}
