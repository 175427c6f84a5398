import { describe, expect, test } from 'vitest';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../../tensor/half.ts';
import { generator, round } from './conformance/naive.ts';

const formats = {
  f16: { toNumber: float16ToNumber, toBits: numberToFloat16, exponentBits: 5, fractionBits: 10, bias: 15 },
  bf16: { toNumber: bfloat16ToNumber, toBits: numberToBfloat16, exponentBits: 8, fractionBits: 7, bias: 127 },
} as const;

const inf = Number.POSITIVE_INFINITY;

for (const [name, { toNumber, toBits, exponentBits, fractionBits, bias }] of Object.entries(formats)) {
  const fractions = 2 ** fractionBits;
  const largestExponent = 2 ** exponentBits - 1;

  /** The value of bits by the definition of IEEE 754's interchange formats. */
  const defined = (bits: number): number => {
    const sign = bits >= 2 ** 15 ? -1 : 1;
    const exponent = Math.floor((bits % 2 ** 15) / fractions);
    const fraction = bits % fractions;
    if (exponent === largestExponent) return fraction === 0 ? sign * inf : Number.NaN;
    if (exponent === 0) return sign * (fraction / fractions) * 2 ** (1 - bias);
    return sign * (1 + fraction / fractions) * 2 ** (exponent - bias);
  };

  /** All finite values from 0, ascending: the index of a value is its bits. */
  const ascending = Array.from({ length: largestExponent * fractions }, (_, bits) => defined(bits));

  /** The nearest value by bisection, the one with even bits on a tie; infinity from the half-way point on. */
  const nearest = (value: number): number => {
    if (Number.isNaN(value)) return value;
    const magnitude = Math.abs(value);
    let [low, high] = [0, ascending.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((ascending[middle] as number) <= magnitude) low = middle;
      else high = middle - 1;
    }
    const below = ascending[low] as number;
    // The number after the largest finite one would be the next power of two.
    const above = ascending[low + 1] ?? 2 ** (largestExponent - bias);
    const [down, up] = [magnitude - below, above - magnitude];
    const chosen = down < up || (down === up && low % 2 === 0) ? low : low + 1;
    const rounded = ascending[chosen] ?? inf;
    return value < 0 || Object.is(value, -0) ? -rounded : rounded;
  };

  const check = (value: number) => {
    const expected = nearest(Math.fround(value));
    const actual = toNumber(toBits(value));
    if (!Object.is(actual, expected)) expect.fail(`${name}(${value}) = ${actual}, expected ${expected}`);
  };

  describe(name, () => {
    test('each of the 65536 bit patterns has its value and comes back', () => {
      for (let bits = 0; bits < 65536; bits++) {
        const value = toNumber(bits);
        if (!Object.is(value, defined(bits))) expect.fail(`bits ${bits}: ${value}, expected ${defined(bits)}`);
        const back = toBits(value);
        // NaN stays NaN, but its bits may change.
        const same = Number.isNaN(value) ? Number.isNaN(toNumber(back)) : back === bits;
        if (!same) expect.fail(`bits ${bits} came back as ${back}`);
      }
    });

    test('random f32 bit patterns round to the nearest value, ties to even', () => {
      const random = generator(1);
      const words = new Uint32Array(200_000).map(() => Math.floor(random() * 2 ** 32));
      for (const value of new Float32Array(words.buffer)) check(value);
    });

    test('so do numbers in range, and the points half-way between neighbours', () => {
      const random = generator(2);
      for (let i = 0; i < 100_000; i++) check((random() - 0.5) * 2 ** Math.floor(random() * 40 - 24));
      for (let bits = 0; bits + 1 < ascending.length; bits++) {
        const middle = ((ascending[bits] as number) + (ascending[bits + 1] as number)) / 2;
        const step = Math.max(2 ** -149, middle * 2 ** -23);
        for (const value of [middle, middle - step, middle + step]) {
          check(value);
          check(-value);
        }
      }
    });

    test('the rounding of the conformance suite agrees', () => {
      const random = generator(3);
      for (let i = 0; i < 50_000; i++) {
        const value = Math.fround((random() - 0.5) * 2 ** Math.floor(random() * 160 - 140));
        expect(Object.is(round(name as 'f16', value), nearest(value)) || value === 0).toBe(true);
      }
    });
  });
}

test('f16 at its edges', () => {
  expect(float16ToNumber(numberToFloat16(65519.996))).toBe(65504);
  expect(float16ToNumber(numberToFloat16(65520))).toBe(inf);
  expect(float16ToNumber(numberToFloat16(-65520))).toBe(-inf);
  expect(numberToFloat16(2 ** -24)).toBe(1);
  expect(numberToFloat16(2 ** -25)).toBe(0);
  expect(numberToFloat16(-(2 ** -25))).toBe(0x8000);
  expect(numberToFloat16(2 ** -25 * (1 + 2 ** -23))).toBe(1);
  expect(numberToFloat16(1.5 * 2 ** -24)).toBe(2);
  expect(numberToFloat16(Number.NaN) & 0x7fff).toBe(0x7e00);
  expect(numberToFloat16(inf)).toBe(0x7c00);
  expect(numberToFloat16(-0)).toBe(0x8000);
  // 2^-14 − 2^-25 lies between the largest subnormal and the smallest normal number, and rounds up to the latter.
  expect(numberToFloat16(2 ** -14 - 2 ** -25)).toBe(0x0400);
});

test('bf16 at its edges', () => {
  expect(numberToBfloat16(3.3895313892515355e38)).toBe(0x7f7f);
  expect(bfloat16ToNumber(numberToBfloat16(3.4e38))).toBe(inf);
  expect(numberToBfloat16(1 + 2 ** -8)).toBe(0x3f80);
  expect(numberToBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82);
  expect(Number.isNaN(bfloat16ToNumber(numberToBfloat16(Number.NaN)))).toBe(true);
  expect(numberToBfloat16(-0)).toBe(0x8000);
  expect(numberToBfloat16(-inf)).toBe(0xff80);
});
