import type { ContractionExport } from './module.ts';
import { type Operand, type Pointer, type Word, wordsOf } from './parameters.ts';

/** What the runtime contracts; u32 wraps like i32. Halves are converted before. */
export type ContractionDType = 'f32' | 'f64' | 'i32' | 'u32';

/** An array in memory: strides and offset are in elements; strides may be 0 or negative. Row-major where left out. */
export interface View {
  readonly shape: readonly number[];
  readonly strides?: readonly number[];
  readonly offset?: number;
}

/** Calls of one export: `name(parameters, unit, scratch)` for every unit from 0. Units may run in any order, anywhere. */
export interface Step {
  readonly name: ContractionExport;
  readonly units: number;
  /** The parameter block. `bindWords` fills the addresses in. */
  readonly words: readonly Word[];
}

/**
 * How to compute a contraction. All units of a phase, of whichever step, may run at once; a phase begins when the one
 * before has ended. Results do not depend on who runs which unit. Scratch need not be cleared.
 */
export interface ContractionPlan {
  readonly phases: readonly (readonly Step[])[];
  /** Size of the operand `scratch`, which all threads share. */
  readonly scratchBytes: number;
  /** Size of each thread's own scratch: the last argument of each call. Both should be aligned to 64 bytes. */
  readonly threadScratchBytes: number;
}

export const nothing: ContractionPlan = { phases: [], scratchBytes: 0, threadScratchBytes: 0 };

/** Bytes of an element, and the names that exports carry for it. */
export const storageOf = (dtype: ContractionDType) =>
  dtype === 'f64'
    ? ({ bytes: 8, lanes: 2, bits: '64', element: 'f64' } as const)
    : ({ bytes: 4, lanes: 4, bits: '32', element: dtype === 'f32' ? 'f32' : 'i32' } as const);

export const pointer = (operand: Operand, offset: number): Pointer => ({ operand, offset });

/** Rounds up to a multiple. */
export const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

export { type Word, wordsOf };
