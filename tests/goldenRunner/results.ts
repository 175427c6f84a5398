import { cast, dispose, read, realize, type Tensor } from '../../tensor/index.ts';
import { type Comparison, compare, compareAbsolutely, type Values } from './compare.ts';
import type { Settings } from './families/family.ts';

export const isFloatTensor = (tensor: Tensor): boolean => !['i32', 'u32', 'bool'].includes(tensor.dtype);

/** A stored tensor in the dtype that is checked; integers stay what they are. */
export const inDtype = (tensor: Tensor, { dtype }: Settings): Tensor =>
  isFloatTensor(tensor) ? cast(tensor, dtype) : tensor;

export const valuesOf = async (tensor: Tensor): Promise<Values> => ({
  shape: tensor.shape,
  values: await read(tensor),
  exact: !isFloatTensor(tensor),
});

/** The norm of all elements of stored tensors together. */
export async function normOf(tensors: Iterable<Tensor>): Promise<number> {
  let squares = 0;
  for (const x of tensors) for (const value of await read(x)) squares += Number(value) ** 2;
  return Math.sqrt(squares);
}

export interface BoundOptions {
  readonly bound: number;
  /** Whether the bound is of the largest absolute error, instead of the relative L2 error. */
  readonly absolute?: boolean;
  /** The norm of all tensors of a kind together: one that is nothing beside it is compared absolutely. */
  readonly total?: number;
}

/** Runs all results at once and compares each with the expected tensor of its name. */
export async function compareResults(
  results: ReadonlyMap<string, Tensor>,
  expected: ReadonlyMap<string, Tensor>,
  boundFor: (name: string) => number | BoundOptions,
  { device, dtype }: Settings,
): Promise<Comparison[]> {
  const realized = await realize(Object.fromEntries(results), { device });
  const comparisons: Comparison[] = [];
  for (const [name, result] of Object.entries(realized)) {
    const reference = expected.get(name);
    if (reference === undefined) continue;
    const asked = boundFor(name);
    const { bound, total, absolute }: BoundOptions = typeof asked === 'number' ? { bound: asked } : asked;
    const [values, stored] = [await valuesOf(result), await valuesOf(reference)];
    const comparison = absolute
      ? compareAbsolutely(name, values, stored, bound)
      : compare(name, values, stored, bound, total);
    const wrongDtype = isFloatTensor(result) && result.dtype !== dtype;
    const reason = `the result is ${result.dtype}, not ${dtype}`;
    comparisons.push(wrongDtype ? { ...comparison, passed: false, reason } : comparison);
  }
  dispose(realized);
  return comparisons;
}
