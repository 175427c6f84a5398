import type { ValueArray } from '../dtype.ts';
import type { Attributes, Primitive } from '../primitives.ts';
import type { Tensor } from '../tensor.ts';

/** One evaluation: input values in, output values written to `out` (halves are computed in f32 on both sides). */
export interface Call<P extends Primitive> {
  readonly output: Tensor;
  readonly out: ValueArray;
  readonly attributes: Attributes[P];
  readonly inputs: readonly Tensor[];
  readonly values: readonly ValueArray[];
}

export type Kernel<P extends Primitive> = (call: Call<P>) => void;

/** Primitives that evaluate to their first input. */
export type Identity = 'variable' | 'barrier' | 'custom';

/** A kernel for each of the named primitives. */
export type Kernels<P extends Primitive> = { readonly [K in P]: Kernel<K> };

/** Input i of a call with its values; the operators have checked that it is there. */
export function input<P extends Primitive>(call: Call<P>, i: number): { tensor: Tensor; values: ValueArray } {
  return { tensor: call.inputs[i] as Tensor, values: call.values[i] as ValueArray };
}
