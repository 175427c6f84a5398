import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, broadcastAt, build, entry, type Nd, ulp } from './naive.ts';
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

/** Shapes that broadcast together, and what they broadcast to: axes of one shape dropped in front or shrunk to 1. */
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

  test('remainder of floats lies between 0 and the divisor and differs from the dividend by whole divisors', () =>
    holds(
      [together(2), seeds],
      async ({ shape, parts }, seed) => {
        for (const dtype of had(device(), floats)) {
          const [a, b] = [filled(entry(parts, 0), seed, dtype), filled(entry(parts, 1), seed + 1, dtype)];
          const divisor = { ...b, data: b.data.map((x) => (Math.abs(x) < 0.25 ? 0.75 : x)) };
          const rest = t.remainder(upload(a, dtype), upload(divisor, dtype));
          expect(rest.shape).toEqual(shape);
          const values = await compute(device(), rest);
          const dividends = both(shape, a, divisor, (x) => x).data;
          const divisors = both(shape, a, divisor, (_, y) => y).data;
          values.forEach((value, i) => {
            const [x, y] = [entry(dividends, i), entry(divisors, i)];
            // Quotient, product and difference each round: half an ulp of the dividend's size each, in f32 for halves.
            const wide = dtype === 'f64' ? 'f64' : 'f32';
            const bound = 2 * ulp(wide, Math.abs(x) + Math.abs(y)) + (wide === dtype ? 0 : ulp(dtype, y));
            const exact = ((x % y) + y) % y;
            const apart = Math.abs(value - exact);
            expect(Math.min(apart, Math.abs(apart - Math.abs(y)))).toBeLessThanOrEqual(bound);
            expect(value * Math.sign(y)).toBeGreaterThanOrEqual(-bound);
            expect(Math.abs(value)).toBeLessThanOrEqual(Math.abs(y) + bound);
          });
        }
      },
      20,
    ));

  for (const [name, [apply, f]] of Object.entries(comparisons)) {
    test(`${name} gives bools`, () =>
      holds(
        [together(2), seeds],
        async ({ shape, parts }, seed) => {
          const list = name === 'equal' || name === 'notEqual' ? every : numeric;
          for (const dtype of had(device(), list)) {
            const a = filled(entry(parts, 0), seed, dtype);
            const other = filled(entry(parts, 1), seed + 1, dtype);
            // Half of the elements come from the other side, so that there are equal ones.
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
