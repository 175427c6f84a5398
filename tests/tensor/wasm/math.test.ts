import { describe, expect, test } from 'vitest';
import { type VectorFunctionName, vectorMath, vectorPow } from '../../../tensor/wasm/simd/math/index.ts';
import { compile, error32, expected, expectedPow, randomNumbers, specialValues } from './mathHarness.ts';

const names = Object.keys(vectorMath.f32) as VectorFunctionName[];
const chunk = 1 << 18;
const maxFinite = (2 - 2 ** -23) * 2 ** 127;
const specials = specialValues(2 ** -149, 2 ** -126, maxFinite);

/** Where a function changes its formula, leaves the range of f32, or is near a zero. */
const critical = [
  [0.625, 0.85, 4, 10, 2 ** -126, Math.SQRT1_2, Math.SQRT2, 1, 2, 0.33, 9.01, 3.92],
  [88.72284, 87.33655, 103.27893, 103.97208, 16.63553, 17.32868, 1e5, 1e6, 1e9],
  Array.from({ length: 40 }, (_, i) => (i + 0.5) * Math.LN2),
  Array.from({ length: 4000 }, (_, i) => ((i + 1) * Math.PI) / 2),
  Array.from({ length: 2000 }, (_, i) => Math.round(i * 318.3) * Math.PI * 0.5),
].flat();

/** The 17 numbers around each. */
function around(centers: readonly number[]): Float32Array {
  const bits = new Int32Array(Float32Array.from(centers.flatMap((x) => [x, -x])).buffer);
  const neighbours = Int32Array.from(
    [...bits].flatMap((pattern) => Array.from({ length: 17 }, (_, i) => pattern + i - 8)),
  );
  return new Float32Array(neighbours.buffer);
}

/** Every 1009th of all bit patterns. */
const patterns = new Uint32Array(Math.floor(2 ** 32 / 1009));
for (let i = 0; i < patterns.length; i++) patterns[i] = i * 1009;
const everywhere = new Float32Array(patterns.buffer);

const multipleOf4 = (x: Float32Array): Float32Array => x.subarray(0, x.length - (x.length % 4));

describe.each(names)('f32 %s', (name) => {
  const apply = compile(vectorMath.f32[name]);
  const exact = expected[name];
  const isPeriodic = name === 'sin' || name === 'cos';

  function worst(inputs: Float32Array): { readonly error: number; readonly x: number } {
    const outputs = apply(inputs);
    let found = { error: 0, x: Number.NaN };
    for (let i = 0; i < inputs.length; i++) {
      const [x, y] = [inputs[i] as number, outputs[i] as number];
      const isFar = isPeriodic && Math.abs(x) > 1e9 && Math.abs(x) <= maxFinite;
      const error = !isFar ? error32(y, exact(x)) : Math.abs(y) <= 1 ? 0 : Number.POSITIVE_INFINITY;
      if (error > found.error) found = { error, x };
    }
    return found;
  }

  const check = (inputs: Float32Array): void => {
    const { error, x } = worst(inputs);
    expect(error, `${name}(${x})`).toBeLessThanOrEqual(2);
  };

  test('is within 2 units in the last place over all floats', () => {
    for (let start = 0; start < everywhere.length; start += chunk)
      check(multipleOf4(everywhere.subarray(start, start + chunk)));
  });

  test('and around the numbers that are hard for it', () => check(multipleOf4(around(critical))));

  test('and in its usual range', () => {
    const random = randomNumbers();
    check(Float32Array.from({ length: chunk }, () => 12 * random() - 6));
  });

  test('has the special values of Math', () => {
    expect(worst(Float32Array.from(specials)).error, String(worst(Float32Array.from(specials)).x)).toBeLessThanOrEqual(
      2,
    );
  });
});

test('cos 0 and sin π/2 are exactly 1', () => {
  expect(compile(vectorMath.f32.cos)(new Float32Array(4))).toEqual(new Float32Array(4).fill(1));
  expect(compile(vectorMath.f32.sin)(new Float32Array(4).fill(Math.PI / 2))).toEqual(new Float32Array(4).fill(1));
});

describe('f32 pow', () => {
  const apply = compile(vectorPow.f32);

  function check(a: Float32Array, b: Float32Array): void {
    const results = apply(a, b);
    let found = { error: 0, at: '' };
    for (let i = 0; i < a.length; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      const error = error32(results[i] as number, expectedPow(x, y));
      if (error > found.error) found = { error, at: `${x} ** ${y} = ${results[i]}` };
    }
    expect(found.error, found.at).toBeLessThanOrEqual(2);
  }

  test('is within 2 units in the last place', () => {
    const random = randomNumbers();
    for (let round = 0; round < 2; round++) {
      const bases = Float32Array.from({ length: chunk }, () => 2 ** (random() * 276 - 149));
      check(
        bases,
        bases.map((base) => (random() * 300 - 160) / Math.log2(base)),
      );
      const near = Float32Array.from({ length: chunk }, () => 1 + (random() - 0.5) * 2 ** (-20 * random()));
      check(
        near,
        near.map((base) => (random() * 170 - 85) / Math.log(base)),
      );
      const signed = Float32Array.from({ length: chunk }, () => random() * 20 - 10);
      check(
        signed,
        signed.map(() => Math.round(random() * 20 - 10)),
      );
    }
  });

  test('has the special values of IEEE 754', () => {
    const exponents = [...specials, 4, -5, 1 / 3, 16777215, 16777217, 33554433];
    const pairs = specials.flatMap((base) => exponents.map((exponent) => [base, exponent] as const));
    while (pairs.length % 4 !== 0) pairs.push([1, 1]);
    const column = (i: 0 | 1): Float32Array => Float32Array.from(pairs, (pair) => pair[i]);
    check(column(0), column(1));
  });
});
