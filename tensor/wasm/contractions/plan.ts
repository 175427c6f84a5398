import type { ContractionExport } from './module.ts';
import { type Operand, type Pointer, type Word, wordsOf } from './parameters.ts';

/** Element types of contractions. u32 wraps like i32; f16 and bf16 are converted to f32 before. */
export type ContractionDType = 'f32' | 'f64' | 'i32' | 'u32';

/** An array in memory. Strides and offset are in elements; strides may be 0 or negative, and default to row-major. */
export interface View {
  readonly shape: readonly number[];
  readonly strides?: readonly number[];
  readonly offset?: number;
}

/** Calls of an export: `name(parameters, unit, scratch)` for each unit from 0. Units may run in any order, on any thread. */
export interface ContractionCall {
  readonly name: ContractionExport;
  readonly units: number;
  /** The parameter block, with pointers instead of addresses. */
  readonly words: readonly Word[];
}

/**
 * The phases of a contraction. All units of a phase, of any of its calls, may run at once; a phase begins when the one
 * before has ended. Results do not depend on which thread runs a unit. Scratch memory need not be cleared.
 */
export interface ContractionPlan {
  readonly phases: readonly (readonly ContractionCall[])[];
  /** Bytes of the operand `scratch`, which all threads share. */
  readonly scratchBytes: number;
  /** Bytes of each thread's own scratch memory, the last argument of a call. Both must be aligned to 64 bytes. */
  readonly threadScratchBytes: number;
}

/** The plan of an empty result. */
export const nothing: ContractionPlan = { phases: [], scratchBytes: 0, threadScratchBytes: 0 };

/** Bytes and lanes of an element, and the suffixes of its exports. */
export const storageOf = (dtype: ContractionDType) =>
  dtype === 'f64'
    ? ({ bytes: 8, lanes: 2, bits: '64', element: 'f64' } as const)
    : ({ bytes: 4, lanes: 4, bits: '32', element: dtype === 'f32' ? 'f32' : 'i32' } as const);

export const pointer = (operand: Operand, offset: number): Pointer => ({ operand, offset });

/** Rounds up to a multiple. */
export const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

export { type Word, wordsOf };
