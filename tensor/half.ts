/**
 * Conversions between numbers and the bits of the two half-precision formats, both rounding to nearest even:
 * f16 is IEEE 754 binary16 (5 exponent bits, 10 fraction bits), bf16 the upper half of an f32.
 */
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

const bitsOf = (value: number): number => {
  float[0] = value;
  return bits[0] as number;
};

const fromBits = (word: number): number => {
  bits[0] = word;
  return float[0] as number;
};

/** The bits of the bf16 nearest to `value`, which is rounded to f32 first. */
export function numberToBfloat16(value: number): number {
  const word = bitsOf(value);
  if (Number.isNaN(value)) return 0x7fc0;
  // Adding 0x7fff, plus one where the kept part is odd, carries exactly when round-to-nearest-even rounds up.
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The value of bf16 bits. */
export const bfloat16ToNumber = (half: number): number => fromBits(half << 16);

/** The bits of the f16 nearest to `value`, which is rounded to f32 first. */
export function numberToFloat16(value: number): number {
  const word = bitsOf(value);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 lies half-way between the largest f16, 65504, and the next power of two: from there on, values round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below 2^-14 results are subnormal: multiples of 2^-24. Adding 0.5 makes f32 addition round to such a multiple.
    return sign | (bitsOf(fromBits(magnitude) + 0.5) - 0x3f000000);
  }
  // Rebias the exponent from 127 to 15, then round the 13 dropped bits to nearest even.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

/** The value of f16 bits. */
export function float16ToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
