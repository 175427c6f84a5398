import type { DType } from '../dtype.ts';
import type { BinaryPrimitive, TestPrimitive, UnaryPrimitive } from '../primitives.ts';
import type { Position, Variable } from './position.ts';
import type { Value } from './program.ts';

/** What a kernel computes for one element: a graph of scalars over loads. Equal objects are computed once. */
export type Scalar =
  | { readonly kind: 'load'; readonly from: Value; readonly position: Position; readonly dtype: DType }
  /** An element whose place along one axis is itself computed: position + stride · index, index in [0, size). */
  | {
      readonly kind: 'lookup';
      readonly from: Value;
      readonly position: Position;
      readonly index: Scalar;
      readonly stride: number;
      readonly size: number;
      /** Number of the gather, for its error message. */
      readonly gather: Value;
      readonly dtype: DType;
    }
  /** A number given to the run. */
  | { readonly kind: 'argument'; readonly slot: number; readonly dtype: DType }
  /** A number known when compiling. */
  | { readonly kind: 'literal'; readonly value: number; readonly dtype: DType }
  /** Where the kernel is. */
  | { readonly kind: 'place'; readonly position: Position; readonly dtype: DType }
  /** `inside` where every condition holds, else `outside`; `inside` is not evaluated elsewhere. */
  | {
      readonly kind: 'masked';
      readonly conditions: readonly Condition[];
      readonly inside: Scalar;
      readonly outside: Scalar;
      readonly dtype: DType;
    }
  /** What an earlier stage of the same kernel made, at the same place. */
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

/** One step of a loop kernel: an element for each place, or one reduced over the inner loops for each outer place. */
export interface Stage {
  readonly value: Value;
  readonly kind: 'map' | 'sum' | 'max';
  readonly scalar: Scalar;
  /** Whether there is one element for each outer and inner place, or one for each outer place. */
  readonly over: 'outer' | 'inner';
  /**
   * Which walk over the inner loops it belongs to. A map over the outer loops alone runs after walk number `pass`,
   * from −1: before the first.
   */
  readonly pass: number;
  /** Where it is stored; `undefined` where only later stages of this kernel use it. */
  readonly store: Position | undefined;
}

/** Loops with stages inside: for each place of the outer loops, walks over the inner loops that run the stages. */
export interface LoopKernel {
  readonly kind: 'loops';
  /** Work is divided along these. */
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
