import { f32x4, f64x2, type I32, i32x4, type Statement, type V128, v128 } from '../assembler/instructions.ts';

/** An element type of contractions: its sizes, loads, stores and arithmetic. */
export interface Element {
  readonly name: 'f32' | 'f64' | 'i32';
  readonly bytes: 4 | 8;
  /** Elements in a vector. */
  readonly lanes: 4 | 2;
  readonly zero: V128;
  /** Loads one element into every lane. */
  readonly loadSplat: (address: I32, offset?: number) => V128;
  /** Loads one element into the lowest lane. */
  readonly loadOne: (address: I32, offset?: number) => V128;
  /** Stores the lowest lane. */
  readonly storeOne: (address: I32, value: V128, offset?: number) => Statement;
  readonly storeLane: (address: I32, value: V128, lane: number, offset?: number) => Statement;
  readonly add: (a: V128, b: V128) => V128;
  readonly multiplyAdd: (a: V128, b: V128, sum: V128) => V128;
}

export type ElementName = Element['name'];

const words = {
  bytes: 4,
  lanes: 4,
  zero: i32x4.const(0),
  loadSplat: v128.load32Splat,
  loadOne: v128.load32Zero,
  storeOne: (address: I32, value: V128, offset = 0): Statement => v128.store32Lane(address, value, 0, offset),
  storeLane: v128.store32Lane,
} as const;

/** With `relaxed`, float multiplication and addition are fused where the processor can. */
export const elements = (relaxed: boolean): Readonly<Record<ElementName, Element>> => ({
  f32: {
    ...words,
    name: 'f32',
    add: f32x4.add,
    multiplyAdd: relaxed ? f32x4.relaxedMadd : (a, b, sum) => f32x4.add(sum, f32x4.mul(a, b)),
  },
  f64: {
    name: 'f64',
    bytes: 8,
    lanes: 2,
    zero: words.zero,
    loadSplat: v128.load64Splat,
    loadOne: v128.load64Zero,
    storeOne: (address, value, offset = 0) => v128.store64Lane(address, value, 0, offset),
    storeLane: v128.store64Lane,
    add: f64x2.add,
    multiplyAdd: relaxed ? f64x2.relaxedMadd : (a, b, sum) => f64x2.add(sum, f64x2.mul(a, b)),
  },
  /** Arithmetic wraps, so u32 uses it too. */
  i32: {
    ...words,
    name: 'i32',
    add: i32x4.add,
    multiplyAdd: (a, b, sum) => i32x4.add(sum, i32x4.mul(a, b)),
  },
});
