import { describe, expect, test } from 'vitest';
import { type VectorFunctionName, vectorMath, vectorPow } from '../../../tensor/wasm/simd/math/index.ts';
import { exactError, exactly, exactMath, exactPow } from './mathExact.ts';
import { compile, error64, expected, expectedPow, randomNumbers, specialValues } from './mathHarness.ts';

type Range = readonly [low: number, high: number];

const names = Object.keys(vectorMath.f64) as VectorFunctionName[];
const specials = specialValues(Number.MIN_VALUE, 2 ** -1022, Number.MAX_VALUE);
const count = 1 << 16;

/** Intervals that together cover what each function does; arguments are also spread over the exponents below 1. */
const ranges: Readonly<Record<VectorFunctionName, readonly Range[]>> = {
  exp: [
    [-750, 715],
    [-2, 2],
  ],
  expm1: [
    [-50, 715],
    [-2, 2],
  ],
  log: [
    [0, 4],
    [0, 1e300],
  ],
  log1p: [
    [-1, 4],
    [0, 1e300],
  ],
  tanh: [
    [-3, 3],
    [-25, 25],
  ],
  sigmoid: [
    [-750, 50],
    [-10, 10],
  ],
  softplus: [
    [-750, 800],
    [-10, 10],
  ],
  erf: [
    [-2, 2],
    [-7, 7],
  ],
  sin: [
    [-10, 10],
    [-1e5, 1e5],
    [-1e9, 1e9],
  ],
  cos: [
    [-10, 10],
    [-1e5, 1e5],
    [-1e9, 1e9],
  ],
};

/** Where the exact check looks: results there fit the fixed point. */
const moderate = (name: VectorFunctionName): readonly Range[] =>
  ranges[name].map(([low, high]) => [Math.max(low, name === 'sin' || name === 'cos' ? -1e9 : -30), Math.min(high, 30)]);

function uniform(random: () => number, intervals: readonly Range[], length: number): Float64Array {
  return Float64Array.from({ length }, (_, i) => {
    const [low, high] = intervals[i % intervals.length] as Range;
    return low + (high - low) * random();
  });
}

const tiny = (random: () => number, length: number): Float64Array =>
  Float64Array.from({ length }, () => (random() < 0.5 ? -1 : 1) * 2 ** (-60 * random()));

describe.each(names)('f64 %s', (name) => {
  const apply = compile(vectorMath.f64[name]);

  function check(inputs: Float64Array, error: (y: number, x: number) => number, bound: number): void {
    const outputs = apply(inputs);
    let found = { error: 0, x: Number.NaN };
    outputs.forEach((y, i) => {
      const x = inputs[i] as number;
      const size = Math.abs(error(y, x));
      if (!(size <= found.error)) found = { error: size, x };
    });
    expect(found.error, `${name}(${found.x})`).toBeLessThanOrEqual(bound);
  }

  // The reference error function is itself off by ten units.
  const against = (y: number, x: number): number => error64(y, expected[name](x));
  const bound = name === 'erf' ? 16 : 3;

  test('agrees with Math', () => {
    const random = randomNumbers();
    check(uniform(random, ranges[name], count), against, bound);
    check(tiny(random, count), against, bound);
  });

  test('is within 2 units in the last place of the exact result', () => {
    const random = randomNumbers();
    const exact = (y: number, x: number): number => exactError(y, exactMath[name](exactly(x)));
    check(uniform(random, moderate(name), 600), exact, 2);
  });

  test('has the special values of Math', () => {
    const isFar = (x: number): boolean => (name === 'sin' || name === 'cos') && Math.abs(x) > 1e9 && Number.isFinite(x);
    const bounded = (y: number, x: number): number =>
      !isFar(x) ? against(y, x) : Math.abs(y) <= 1 ? 0 : Number.POSITIVE_INFINITY;
    check(Float64Array.from(specials), bounded, bound);
  });
});

test('sin and cos are right next to their zeros', () => {
  const multiples = Float64Array.from({ length: 2000 }, (_, i) => Math.round(i * 31.8) * (Math.PI / 2));
  for (const name of ['sin', 'cos'] as const) {
    const outputs = compile(vectorMath.f64[name])(multiples);
    const errors = [...outputs].map((y, i) =>
      multiples[i] === 0 ? 0 : exactError(y, exactMath[name](exactly(multiples[i] as number))),
    );
    expect(Math.max(...errors.map(Math.abs))).toBeLessThanOrEqual(2);
  }
  expect(compile(vectorMath.f64.cos)(new Float64Array(2))).toEqual(new Float64Array(2).fill(1));
});

describe('f64 pow', () => {
  const apply = compile(vectorPow.f64);

  function check(a: Float64Array, b: Float64Array, error: (y: number, a: number, b: number) => number, bound: number) {
    const results = apply(a, b);
    let found = { error: 0, at: '' };
    results.forEach((y, i) => {
      const [base, exponent] = [a[i] as number, b[i] as number];
      const size = Math.abs(error(y, base, exponent));
      if (!(size <= found.error)) found = { error: size, at: `${base} ** ${exponent} = ${y}` };
    });
    expect(found.error, found.at).toBeLessThanOrEqual(bound);
  }
  const against = (y: number, a: number, b: number): number => error64(y, expectedPow(a, b));

  test('agrees with Math', () => {
    const random = randomNumbers();
    const bases = Float64Array.from({ length: count }, () => 2 ** (random() * 2098 - 1074));
    check(
      bases,
      bases.map((base) => (random() * 2200 - 1100) / Math.log2(base)),
      against,
      4,
    );
    const signed = Float64Array.from({ length: count }, () => random() * 20 - 10);
    check(
      signed,
      signed.map(() => Math.round(random() * 60 - 30)),
      against,
      4,
    );
  });

  test('is within 4 units in the last place of the exact result', () => {
    const random = randomNumbers();
    const bases = Float64Array.from({ length: 600 }, () => 1 + (random() - 0.5) * 2 ** (-30 * random()));
    const exponents = bases.map((base) => (random() * 80 - 40) / Math.log(base));
    const exact = (y: number, a: number, b: number): number => exactError(y, exactPow(exactly(a), exactly(b)));
    check(bases, exponents, exact, 4);
  });

  test('has the special values of IEEE 754', () => {
    const exponents = [...specials, 4, -5, 1 / 3, 2 ** 53 - 1, 2 ** 53 + 2];
    const pairs = specials.flatMap((base) => exponents.map((exponent) => [base, exponent] as const));
    while (pairs.length % 2 !== 0) pairs.push([1, 1]);
    const column = (i: 0 | 1): Float64Array => Float64Array.from(pairs, (pair) => pair[i]);
    check(column(0), column(1), against, 4);
  });
});
