import type { Value } from '../compiler/program.ts';
import type { I32, Local, Statement } from './assembler/instructions.ts';
import type { Scope } from './assembler/module.ts';

/** What the code of a kernel can refer to. */
export interface KernelContext {
  readonly scope: Scope;
  /** The address of a value's buffer. */
  address(value: Value): I32;
  /** The address of the vector that holds a scalar argument of the run. */
  argument(slot: number): { base: I32; offset: number };
  /** The address of the kernel's own scratch memory. */
  readonly scratch: I32;
  /** Records an index out of range; the device throws after the run. */
  reportIndex(value: Value, index: I32): Statement;
}

/** One phase of a kernel: its code does the units [from, to), which may run in any order and at the same time. */
export interface KernelPhase {
  readonly units: number;
  readonly code: (context: KernelContext, from: Local<'i32'>, to: Local<'i32'>) => Statement;
}
