import { f32x4, f64x2, i8x16, type V128 } from '../../assembler/instructions.ts';
import type { Steps } from './steps.ts';

const low = [0, 1, 2, 3, 4, 5, 6, 7];
const high = low.map((byte) => byte + 8);
const inSecond = (bytes: readonly number[]): number[] => bytes.map((byte) => byte + 16);
const lowWords = [0, 1, 2, 3, 8, 9, 10, 11];

/** The four f32 lanes of a bound vector as two vectors of f64. */
export const widen = (steps: Steps, x: V128): readonly [V128, V128] => [
  steps.bind(f64x2.promoteLowF32x4(x)),
  steps.bind(f64x2.promoteLowF32x4(i8x16.shuffle(x, x, [...high, ...high]))),
];

/** Four f64 lanes as f32. */
export const narrow = (a: V128, b: V128): V128 =>
  i8x16.shuffle(f32x4.demoteF64x2Zero(a), f32x4.demoteF64x2Zero(b), [...low, ...inSecond(low)]);

/** The low 32 bits of four 64-bit lanes. */
export const lowHalves = (a: V128, b: V128): V128 => i8x16.shuffle(a, b, [...lowWords, ...inSecond(lowWords)]);
