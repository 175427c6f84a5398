import { i8x16, type V128 } from '../assembler/instructions.ts';

const bytesOf = (words: readonly number[]): number[] => words.flatMap((word) => [0, 1, 2, 3].map((b) => word * 4 + b));
const shuffleWords =
  (words: readonly number[]) =>
  (a: V128, b: V128): V128 =>
    i8x16.shuffle(a, b, bytesOf(words));
const lowWords = shuffleWords([0, 4, 1, 5]);
const highWords = shuffleWords([2, 6, 3, 7]);
const lowHalves = shuffleWords([0, 1, 4, 5]);
const highHalves = shuffleWords([2, 3, 6, 7]);
const secondRow = shuffleWords([2, 3, 2, 3]);

/** Transposes a 4×4 square of 32-bit elements. The code of the rows is written several times. */
export function transpose4(rows: readonly V128[]): V128[] {
  const [a, b, c, d] = rows as readonly [V128, V128, V128, V128];
  return [
    lowHalves(lowWords(a, b), lowWords(c, d)),
    highHalves(lowWords(a, b), lowWords(c, d)),
    lowHalves(highWords(a, b), highWords(c, d)),
    highHalves(highWords(a, b), highWords(c, d)),
  ];
}

/** Transposes a 2×2 square of 64-bit elements. */
export function transpose2(rows: readonly V128[]): V128[] {
  const [a, b] = rows as readonly [V128, V128];
  return [lowHalves(a, b), highHalves(a, b)];
}

/** Transposes a 2×2 square of 32-bit elements in the lower halves of vectors. */
function transposeLowerHalves(rows: readonly V128[]): V128[] {
  const [a, b] = rows as readonly [V128, V128];
  return [lowWords(a, b), secondRow(lowWords(a, b), lowWords(a, b))];
}

const reversed4 = shuffleWords([3, 2, 1, 0]);
const reversed2 = shuffleWords([2, 3, 0, 1]);
const reversedLower = shuffleWords([1, 0, 1, 0]);

/** Reverses the lanes. `wide`: of 64 bits. */
export function reverseLanes(wide: boolean, lanes: 2 | 4, x: V128): V128 {
  if (lanes === 4) return reversed4(x, x);
  return wide ? reversed2(x, x) : reversedLower(x, x);
}

/** Transposes a square of as many vectors as each has lanes. The code of the rows is written several times. */
export function transposeLanes(wide: boolean, lanes: 2 | 4, rows: readonly V128[]): V128[] {
  if (lanes === 4) return transpose4(rows);
  return wide ? transpose2(rows) : transposeLowerHalves(rows);
}
