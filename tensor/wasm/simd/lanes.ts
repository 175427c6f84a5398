import type { DType } from '../../dtype.ts';
import {
  f32x4,
  f64x2,
  type I32,
  i8x16,
  i32,
  i32x4,
  type Statement,
  type V128,
  v128,
} from '../assembler/instructions.ts';

/**
 * The types of lanes. A kernel works on 4 lanes; one with f64 works on 2, with 32-bit elements in the lower half of a
 * vector. f16 and bf16 are f32 lanes; bool lanes have all bits set, or none.
 */
export type LaneDType = 'f64' | 'f32' | 'i32' | 'u32' | 'bool';

export const laneDType = (dtype: DType): LaneDType => (dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype);

/** The number of elements that a load or store moves: all lanes, or only the first. */
export type Count = 1 | 2 | 4;

/** bf16 bits in the lower halves of four words, as f32. */
const widenBfloat16 = (words: V128): V128 => i32x4.shl(words, i32.const(16));

/** f16 bits as f32. A multiplication by 2^112 rebiases the exponent, of subnormal numbers too. */
function widenFloat16(words: V128): V128 {
  const magnitude = i32x4.shl(v128.and(words, i32x4.const(0x7fff)), i32.const(13));
  const sign = i32x4.shl(v128.and(words, i32x4.const(0x8000)), i32.const(16));
  const scaled = f32x4.mul(magnitude, f32x4.const(2 ** 112));
  // Infinities and NaN have all exponent bits set, but their product has not.
  const special = v128.and(
    i32x4.gtS(v128.and(words, i32x4.const(0x7fff)), i32x4.const(0x7bff)),
    i32x4.const(0x7f800000),
  );
  return v128.or(v128.or(scaled, special), sign);
}

/** Loads elements of a dtype as lanes. */
export function loadLanes(dtype: DType, count: Count, address: I32, offset = 0): V128 {
  switch (dtype) {
    case 'f64':
      return count === 1 ? v128.load64Zero(address, offset) : v128.load(address, offset);
    case 'f32':
    case 'i32':
    case 'u32':
      return [v128.load32Zero, v128.load64Zero, v128.load][Math.log2(count)]?.(address, offset) as V128;
    case 'f16':
    case 'bf16': {
      const words = count === 1 ? i32x4.splat(i32.load16U(address, offset)) : widen16(count, address, offset);
      return dtype === 'f16' ? widenFloat16(words) : widenBfloat16(words);
    }
    case 'bool': {
      const words =
        count === 1
          ? i32x4.splat(i32.load8U(address, offset))
          : count === 2
            ? i32x4.splat(i32.load16U(address, offset))
            : v128.load32Zero(address, offset);
      const bytes = count === 1 ? words : spreadBytes(words);
      return v128.not(i32x4.eq(bytes, i32x4.const(0)));
    }
  }
}

const widen16 = (count: Count, address: I32, offset: number): V128 =>
  count === 4 ? v128.load16x4U(address, offset) : spreadWords(v128.load32Zero(address, offset));

/** Widens the lower four bytes to words. */
const spreadBytes = (x: V128): V128 =>
  i8x16.shuffle(x, i32x4.const(0), [0, 16, 16, 16, 1, 16, 16, 16, 2, 16, 16, 16, 3, 16, 16, 16]);

/** Widens the lower four 16-bit halves to words. */
const spreadWords = (x: V128): V128 =>
  i8x16.shuffle(x, i32x4.const(0), [0, 1, 16, 16, 2, 3, 16, 16, 4, 5, 16, 16, 6, 7, 16, 16]);

const packWords = (x: V128): V128 => i8x16.shuffle(x, x, [0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13]);
const packBytes = (x: V128): V128 => i8x16.shuffle(x, x, [0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12]);

/** Rounds f32 lanes to bf16 bits in the lower halves of words, ties to even. The code of `x` is written several times. */
export function narrowBfloat16(x: V128): V128 {
  const odd = v128.and(i32x4.shrU(x, i32.const(16)), i32x4.const(1));
  const rounded = i32x4.shrU(i32x4.add(i32x4.add(x, i32x4.const(0x7fff)), odd), i32.const(16));
  return v128.bitselect(i32x4.const(0x7fc0), rounded, f32x4.ne(x, x));
}

/** Rounds f32 lanes to f16 bits in the lower halves of words, ties to even. The code of `x` is written several times. */
export function narrowFloat16(x: V128): V128 {
  const magnitude = v128.and(x, i32x4.const(0x7fffffff));
  const sign = v128.and(i32x4.shrU(x, i32.const(16)), i32x4.const(0x8000));
  // Adding ½ to a number below 2^-14 rounds it to a multiple of 2^-24, the subnormals of f16.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.const(0.5)), i32x4.const(0x3f000000));
  const odd = v128.and(i32x4.shrU(magnitude, i32.const(13)), i32x4.const(1));
  const normal = i32x4.shrU(i32x4.add(i32x4.add(magnitude, i32x4.const(0xfff - 0x38000000)), odd), i32.const(13));
  const finite = v128.bitselect(small, normal, i32x4.ltS(magnitude, i32x4.const(0x38800000)));
  const limited = v128.bitselect(i32x4.const(0x7c00), finite, i32x4.gtS(magnitude, i32x4.const(0x477fefff)));
  return v128.or(v128.bitselect(i32x4.const(0x7e00), limited, f32x4.ne(x, x)), sign);
}

/** Rounds f32 lanes to values of f16 or bf16. The code of `x` is written several times. */
export const roundToHalf = (dtype: 'f16' | 'bf16', x: V128): V128 =>
  dtype === 'f16' ? widenFloat16(narrowFloat16(x)) : widenBfloat16(narrowBfloat16(x));

/** Stores lanes as elements of a dtype. For f16 and bf16, the code of `value` is written several times. */
export function storeLanes(dtype: DType, count: Count, address: I32, value: V128, offset = 0): Statement {
  switch (dtype) {
    case 'f64':
      return count === 1 ? v128.store64Lane(address, value, 0, offset) : v128.store(address, value, offset);
    case 'f32':
    case 'i32':
    case 'u32':
      if (count === 4) return v128.store(address, value, offset);
      return (count === 2 ? v128.store64Lane : v128.store32Lane)(address, value, 0, offset);
    case 'f16':
    case 'bf16': {
      const words = dtype === 'f16' ? narrowFloat16(value) : narrowBfloat16(value);
      if (count === 1) return i32.store16(address, i32x4.extractLane(words, 0), offset);
      return (count === 4 ? v128.store64Lane : v128.store32Lane)(address, packWords(words), 0, offset);
    }
    case 'bool': {
      const bits = v128.and(value, i32x4.const(1));
      if (count === 1) return i32.store8(address, i32x4.extractLane(bits, 0), offset);
      if (count === 2) return i32.store16(address, i32x4.extractLane(packBytes(bits), 0), offset);
      return v128.store32Lane(address, packBytes(bits), 0, offset);
    }
  }
}

/** Widens two 32-bit masks in the lower half to 64 bits. */
export const widenMask = (mask: V128): V128 =>
  i8x16.shuffle(mask, mask, [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]);

/** Narrows two 64-bit masks to 32 bits, in the lower half. */
export const narrowMask = (mask: V128): V128 =>
  i8x16.shuffle(mask, mask, [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);

/** A number in every lane. */
export function literalLanes(dtype: LaneDType, value: number): V128 {
  switch (dtype) {
    case 'f64':
      return f64x2.const(value);
    case 'f32':
      return f32x4.const(value);
    case 'i32':
    case 'u32':
      return i32x4.const(value | 0);
    case 'bool':
      return i32x4.const(value ? -1 : 0);
  }
}

/** Moves the upper half of a vector to the lower half. */
export const upperHalf = (x: V128): V128 =>
  i8x16.shuffle(x, x, [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);

/** A mask of the first lane. */
export const firstLane = (dtype: LaneDType): V128 =>
  v128.const(Array.from({ length: 16 }, (_, byte) => (byte < (dtype === 'f64' ? 8 : 4) ? 255 : 0)));
