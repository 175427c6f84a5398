import type { DType } from '../dtype.ts';
import type { BinaryPrimitive, TestPrimitive, UnaryPrimitive } from '../primitives.ts';
import type { Position, Variable } from './position.ts';
import type { Value } from './program.ts';

/** An expression for one element, over loads from memory. Scalars that are the same object are computed once. */
export type Scalar =
  | { readonly kind: 'load'; readonly from: Value; readonly position: Position; readonly dtype: DType }
  /** Loads the element at position + stride · index, where `index` is computed and must be in [0, size). */
  | {
      readonly kind: 'lookup';
      readonly from: Value;
      readonly position: Position;
      readonly index: Scalar;
      readonly stride: number;
      readonly size: number;
      /** The gather that this belongs to, for the error of an index out of range. */
      readonly gather: Value;
      readonly dtype: DType;
    }
  /** A constant, whose value each run may change. */
  | { readonly kind: 'argument'; readonly slot: number; readonly dtype: DType }
  /** A number known when compiling. */
  | { readonly kind: 'literal'; readonly value: number; readonly dtype: DType }
  /** A position as a number (iota). */
  | { readonly kind: 'place'; readonly position: Position; readonly dtype: DType }
  /** `inside` where every condition holds, else `outside`; `inside` is not evaluated elsewhere. */
  | {
      readonly kind: 'masked';
      readonly conditions: readonly Condition[];
      readonly inside: Scalar;
      readonly outside: Scalar;
      readonly dtype: DType;
    }
  /** The element that an earlier stage of the same kernel has computed at the same iteration. */
  | { readonly kind: 'stage'; readonly stage: number; readonly dtype: DType }
  | {
      readonly kind: 'apply';
      readonly operator: UnaryPrimitive | BinaryPrimitive | TestPrimitive | 'where' | 'cast' | 'threefry';
      readonly word: 0 | 1;
      readonly inputs: readonly Scalar[];
      readonly dtype: DType;
    };

/** low ≤ position ≤ high, or position divisible by `by`. */
export type Condition =
  | { readonly kind: 'between'; readonly position: Position; readonly low: number; readonly high: number }
  | { readonly kind: 'multiple'; readonly position: Position; readonly by: number };

/** One pass of a loop kernel over its inner loops: an element for each iteration, or a reduction for each outer iteration. */
export interface Stage {
  readonly value: Value;
  readonly kind: 'map' | 'sum' | 'max';
  readonly scalar: Scalar;
  /** `inner`: one element for each iteration of all loops. `outer`: one element for each iteration of the outer loops. */
  readonly over: 'outer' | 'inner';
  /**
   * The walk over the inner loops that the stage belongs to, from 0. A map over the outer loops alone runs after the walk
   * with this number; −1 means before the first.
   */
  readonly pass: number;
  /** The position where the element is stored; `undefined` if only later stages of this kernel use it. */
  readonly store: Position | undefined;
}

/** Nested loops: for each iteration of the outer loops, walks over the inner loops that run the stages. */
export interface LoopKernel {
  readonly kind: 'loops';
  /** Threads or workgroups share these. */
  readonly outer: readonly Variable[];
  readonly inner: readonly Variable[];
  readonly stages: readonly Stage[];
  /** Set if this kernel is another one applied to other values. */
  readonly instance?: {
    readonly pattern: LoopKernel;
    /** The value that replaces one of the pattern here. */
    valueOf(value: Value): Value;
    /** The same for slots of constants. */
    slotOf(slot: number): number;
    /** The value of the pattern that a value here replaces, if it replaces one. */
    originalOf(value: Value): Value | undefined;
  };
}
