import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { entry, generator, type Nd } from './naive.ts';
import {
  compute,
  type DeviceOf,
  expectNd,
  filled,
  floats,
  had,
  holds,
  seeds,
  shapes,
  slack,
  stored,
  upload,
} from './support.ts';

interface Case {
  readonly f: (x: number) => number;
  readonly apply: (x: t.Tensor) => t.Tensor;
  /** The range of inputs. */
  readonly domain: readonly [number, number];
  /** True if every executor gives the same bits. */
  readonly exact?: boolean;
  /** Further roundings in ulp, of a composed operator that computes in its own dtype or of the expected value. */
  readonly roundings?: number;
}

/** Even at halves, from the definition of the IEEE 754 default rounding. */
const nearestEven = (x: number): number => {
  const low = Math.floor(x);
  const rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
};

const cases: Readonly<Record<string, Case>> = {
  neg: { f: (x) => -x, apply: t.neg, domain: [-100, 100], exact: true },
  exp: { f: Math.exp, apply: t.exp, domain: [-15, 11] },
  expm1: { f: Math.expm1, apply: t.expm1, domain: [-3, 3] },
  log: { f: Math.log, apply: t.log, domain: [1e-4, 100] },
  log1p: { f: Math.log1p, apply: t.log1p, domain: [-0.95, 5] },
  sqrt: { f: Math.sqrt, apply: t.sqrt, domain: [0, 100] },
  rsqrt: { f: (x) => 1 / Math.sqrt(x), apply: t.rsqrt, domain: [0.01, 100], roundings: 1 },
  reciprocal: { f: (x) => 1 / x, apply: t.reciprocal, domain: [0.05, 100] },
  square: { f: (x) => x * x, apply: t.square, domain: [-100, 100], exact: true },
  sin: { f: Math.sin, apply: t.sin, domain: [-3, 3] },
  cos: { f: Math.cos, apply: t.cos, domain: [-1.5, 1.5] },
  tan: { f: Math.tan, apply: t.tan, domain: [-1.5, 1.5], roundings: 2 },
  // Beside exact arithmetic (tests/tensor/wasm/mathExact.ts) V8's Math.tanh is off by up to 2.0 ulp, and WebAssembly's by 1.65.
  tanh: { f: Math.tanh, apply: t.tanh, domain: [-4, 4], roundings: 2 },
  // This formula is off by up to 1.74 ulp (three roundings), and WebAssembly's sigmoid by 1.33.
  sigmoid: { f: (x) => 1 / (1 + Math.exp(-x)), apply: t.sigmoid, domain: [-10, 10], roundings: 2 },
  softplus: { f: (x) => Math.log1p(Math.exp(x)), apply: t.softplus, domain: [-10, 20], roundings: 2 },
  abs: { f: Math.abs, apply: t.abs, domain: [-100, 100], exact: true },
  sign: { f: Math.sign, apply: t.sign, domain: [-1, 1], exact: true },
  floor: { f: Math.floor, apply: t.floor, domain: [-9, 9], exact: true },
  ceil: { f: Math.ceil, apply: t.ceil, domain: [-9, 9], exact: true },
  trunc: { f: Math.trunc, apply: t.trunc, domain: [-9, 9], exact: true },
  round: { f: nearestEven, apply: t.round, domain: [-9, 9], exact: true },
};

/** `math.erf` of Python, whose error is below 1 ulp. */
const erfValues: readonly (readonly [number, number])[] = [
  [1e-300, 1.1283791670955126e-300],
  [1e-20, 1.1283791670955125e-20],
  [1e-8, 1.1283791670955126e-8],
  [0.001, 0.0011283787909692365],
  [0.1, 0.1124629160182849],
  [0.25, 0.2763263901682369],
  [0.5, 0.5204998778130465],
  [0.75, 0.7111556336535151],
  [1, 0.8427007929497149],
  [1.25, 0.9229001282564582],
  [1.5, 0.9661051464753108],
  [2, 0.9953222650189527],
  [2.25, 0.9985372834133188],
  [2.4999, 0.9995928300996666],
  [2.5, 0.999593047982555],
  [2.5001, 0.9995932657565293],
  [3, 0.9999779095030014],
  [3.5, 0.9999992569016276],
  [4, 0.9999999845827421],
  [5, 0.9999999999984626],
  [5.9, 0.9999999999999999],
  [6.5, 1],
];

/** Elementwise operators of one input against JavaScript's own functions, on every float dtype. */
export function unary(device: DeviceOf): void {
  for (const [name, { f, apply, domain, exact = false, roundings = 0 }] of Object.entries(cases)) {
    test(`${name} of any shape, rounded once`, () =>
      holds(
        [shapes(), seeds],
        async (shape, seed) => {
          for (const dtype of had(device(), floats)) {
            const random = generator(seed);
            const [low, high] = domain;
            const length = shape.reduce((a, b) => a * b, 1);
            const data = Array.from({ length }, () => {
              const u = random();
              // Every third value is a multiple of one half: ties and whole numbers.
              const value = low + (high - low) * u;
              const rounded = stored(dtype, u < 1 / 3 ? Math.round(value * 2) / 2 : value);
              return rounded < low || rounded > high ? stored(dtype, (low + high) / 2) : rounded;
            });
            const x: Nd = { shape, data };
            const expected = { shape, data: data.map((value) => stored(dtype, f(value))) };
            const half = dtype === 'f16' || dtype === 'bf16';
            // A half is rounded from f32, where an error of a few ulp can decide a tie.
            const ulps = exact ? 0 : half ? 1 : slack(device(), dtype) + roundings;
            await expectNd(device(), apply(upload(x, dtype)), expected, dtype, { ulps });
          }
        },
        15,
      ));
  }

  test('erf to the last bits', async () => {
    for (const dtype of had(device(), ['f64', 'f32'])) {
      const points = [0, ...erfValues.flatMap(([x]) => [x, -x])].map((x) => stored(dtype, x));
      const table = [0, ...erfValues.flatMap(([, y]) => [y, -y])];
      // Where the argument was rounded, the function moves by its derivative, at most 2/√π.
      const exact = [0, ...erfValues.flatMap(([x]) => [x, -x])];
      const absolute = (i: number) => 1.13 * Math.abs(entry(points, i) - entry(exact, i));
      const expected = { shape: [points.length], data: table.map((y) => stored(dtype, y)) };
      await expectNd(device(), t.erf(t.tensor(points, { dtype })), expected, dtype, {
        ulps: dtype === 'f64' ? 8 : slack(device(), dtype),
        absolute,
      });
    }
  });

  test('functions near their delicate points', async () => {
    const tiny = 1e-10;
    const dtype = device().dtypes.has('f64') ? 'f64' : 'f32';
    const relative = dtype === 'f64' ? 1e-15 : 1e-6;
    const close = async (x: t.Tensor, expected: number) => {
      const [value] = await compute(device(), x);
      expect(Math.abs(Number(value) - expected)).toBeLessThanOrEqual(relative * Math.abs(expected));
    };
    const scalar = (value: number) => t.tensor(value, { dtype });
    await close(t.expm1(scalar(tiny)), 1e-10 + 5e-21);
    await close(t.log1p(scalar(tiny)), 1e-10 - 5e-21);
    await close(t.log1p(scalar(-tiny)), -1e-10 - 5e-21);
    await close(t.softplus(scalar(1000)), 1000);
    await close(t.logSigmoid(scalar(-1000)), -1000);
    await close(t.softplus(scalar(0)), Math.LN2);
    await close(t.logSigmoid(scalar(0)), -Math.LN2);
    // log σ(40) = −log(1 + e^−40) = −e^−40 to more than double precision.
    await close(t.logSigmoid(scalar(40)), -4.248354255291589e-18);
    await close(t.softplus(scalar(-40)), 4.248354255291589e-18);
    await close(t.sigmoid(scalar(-40)), 4.248354255291589e-18);
    await close(t.sigmoid(scalar(40)), 1);
    await close(t.sigmoid(scalar(-80)), 1.8048513878454153e-35);
  });

  test('integers: neg wraps, abs and sign and the roundings stay whole', async () => {
    const i32 = t.tensor([-2147483648, -7, 0, 7, 2147483647], { dtype: 'i32' });
    const u32 = t.tensor([0, 1, 7, 4294967295], { dtype: 'u32' });
    expect(await compute(device(), t.neg(i32))).toEqual([-2147483648, 7, 0, -7, -2147483647]);
    expect(await compute(device(), t.neg(u32))).toEqual([0, 4294967295, 4294967289, 1]);
    expect(await compute(device(), t.abs(i32))).toEqual([-2147483648, 7, 0, 7, 2147483647]);
    expect(await compute(device(), t.abs(u32))).toEqual([0, 1, 7, 4294967295]);
    expect(await compute(device(), t.sign(i32))).toEqual([-1, -1, 0, 1, 1]);
    expect(await compute(device(), t.sign(u32))).toEqual([0, 1, 1, 1]);
    for (const rounding of [t.floor, t.ceil, t.trunc, t.round]) {
      expect(await compute(device(), rounding(i32))).toEqual([-2147483648, -7, 0, 7, 2147483647]);
    }
    expect(await compute(device(), t.square(t.tensor([65536, 65537, -46341], { dtype: 'i32' })))).toEqual([
      0, 131073, -2147479015,
    ]);
  });

  test('logicalNot, isNaN and isFinite are bools of the same shape', async () => {
    await holds([shapes(), seeds], async (shape, seed) => {
      const truths = filled(shape, seed, 'bool');
      const flipped = { shape, data: truths.data.map((v) => 1 - v) };
      await expectNd(device(), t.logicalNot(upload(truths, 'bool')), flipped, 'bool');
      const numbers = upload(filled(shape, seed, 'f32'), 'f32');
      await expectNd(device(), t.isNaN(numbers), { shape, data: truths.data.map(() => 0) }, 'bool');
      await expectNd(device(), t.isFinite(numbers), { shape, data: truths.data.map(() => 1) }, 'bool');
    });
  });
}
