import { f64, type I32, i32, type Statement, type V128 } from '../assembler/instructions.ts';
import { transpose2, transpose4 } from '../simd/transpose.ts';

/** Moves of elements by their size, whatever their type: all that packing needs. */
export interface Storage {
  readonly bits: '32' | '64';
  readonly bytes: 4 | 8;
  readonly lanes: 4 | 2;
  /** Moves one element. */
  readonly move: (to: I32, from: I32, toOffset?: number, fromOffset?: number) => Statement;
  readonly zeroAt: (to: I32, offset?: number) => Statement;
  /** The transpose of a square of `lanes` vectors. */
  readonly transpose: (rows: readonly V128[]) => V128[];
}

export const storage32: Storage = {
  bits: '32',
  bytes: 4,
  lanes: 4,
  move: (to, from, toOffset = 0, fromOffset = 0) => i32.store(to, i32.load(from, fromOffset), toOffset),
  zeroAt: (to, offset = 0) => i32.store(to, i32.const(0), offset),
  transpose: transpose4,
};

export const storage64: Storage = {
  bits: '64',
  bytes: 8,
  lanes: 2,
  move: (to, from, toOffset = 0, fromOffset = 0) => f64.store(to, f64.load(from, fromOffset), toOffset),
  zeroAt: (to, offset = 0) => f64.store(to, f64.const(0), offset),
  transpose: transpose2,
};
