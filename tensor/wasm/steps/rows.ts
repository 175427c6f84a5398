import type { Value } from '../../compiler/program.ts';
import { byteSize, type DType } from '../../dtype.ts';
import { sizeOf } from '../../shape.ts';
import { type F64, f64x2, type I32, i32 } from '../assembler/instructions.ts';
import type { Scope } from '../assembler/module.ts';
import type { KernelPhase } from '../kernelPhase.ts';
import { castLanes } from '../simd/apply.ts';
import { loadLanes } from '../simd/lanes.ts';

/** A step: one phase, and the scratch memory that its code uses. */
export interface StepPlan extends KernelPhase {
  readonly scratchBytes: number;
}

/** An element of any dtype as f64, which holds all of them exactly. */
export const loadNumber = (scope: Scope, dtype: DType, address: I32): F64 =>
  f64x2.extractLane(castLanes(scope, dtype, 'f64', loadLanes(dtype, 1, address)), 0);

/** The address of an element of an array at `base`. */
export const elementAt = (base: I32, dtype: DType, index: I32): I32 =>
  i32.add(base, i32.mul(index, i32.const(byteSize[dtype])));

/**
 * The rows of a row-major array along one axis. They have `length` elements, `after` elements apart; row r starts at
 * element ⌊r/after⌋·length·after + r mod after.
 */
export function rowsAlong({ shape }: Value, axis: number) {
  const after = sizeOf(shape.slice(axis + 1));
  const length = shape[axis] as number;
  const rows = sizeOf(shape.slice(0, axis)) * after;
  const start = (row: I32): I32 =>
    i32.add(i32.mul(i32.divU(row, i32.const(after)), i32.const(length * after)), i32.remU(row, i32.const(after)));
  return { after, length, rows, start };
}
