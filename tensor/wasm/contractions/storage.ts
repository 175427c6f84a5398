import { f64, type I32, i8x16, i32, type Statement, type V128 } from '../instructions.ts';

/** What packing needs to know of elements: it moves them, whatever they mean. */
export interface Storage {
  readonly bits: '32' | '64';
  readonly bytes: 4 | 8;
  readonly lanes: 4 | 2;
  /** Moves one element. */
  readonly move: (to: I32, from: I32, toOffset?: number, fromOffset?: number) => Statement;
  readonly zeroAt: (to: I32, offset?: number) => Statement;
  /** `lanes` vectors, rows of a square, to its columns. */
  readonly transpose: (rows: readonly V128[]) => V128[];
}

const bytesOf = (words: readonly number[]): number[] => words.flatMap((word) => [0, 1, 2, 3].map((b) => word * 4 + b));
const shuffleWords =
  (words: readonly number[]) =>
  (a: V128, b: V128): V128 =>
    i8x16.shuffle(a, b, bytesOf(words));
const lowWords = shuffleWords([0, 4, 1, 5]);
const highWords = shuffleWords([2, 6, 3, 7]);
const lowHalves = shuffleWords([0, 1, 4, 5]);
const highHalves = shuffleWords([2, 3, 6, 7]);

export const storage32: Storage = {
  bits: '32',
  bytes: 4,
  lanes: 4,
  move: (to, from, toOffset = 0, fromOffset = 0) => i32.store(to, i32.load(from, fromOffset), toOffset),
  zeroAt: (to, offset = 0) => i32.store(to, i32.const(0), offset),
  transpose: ([a, b, c, d]) => {
    const [p, q, r, s] = [a, b, c, d] as [V128, V128, V128, V128];
    return [
      lowHalves(lowWords(p, q), lowWords(r, s)),
      highHalves(lowWords(p, q), lowWords(r, s)),
      lowHalves(highWords(p, q), highWords(r, s)),
      highHalves(highWords(p, q), highWords(r, s)),
    ];
  },
};

export const storage64: Storage = {
  bits: '64',
  bytes: 8,
  lanes: 2,
  move: (to, from, toOffset = 0, fromOffset = 0) => f64.store(to, f64.load(from, fromOffset), toOffset),
  zeroAt: (to, offset = 0) => f64.store(to, f64.const(0), offset),
  transpose: ([a, b]) => [lowHalves(a as V128, b as V128), highHalves(a as V128, b as V128)],
};
