import type { Value } from '../../compiler/program.ts';
import { operandViewsOf, type StridedView } from '../../compiler/stridedViews.ts';
import { isHalf } from '../../dtype.ts';

/** Contractions with fewer multiplications are not worth a shader that takes long to compile. */
export const fewMultiplications = 2 ** 18;

/** An input of a contraction as it lies in memory, where halves are not widened yet. */
export interface View extends StridedView {
  readonly shape: readonly number[];
}

/** The inputs of a contraction. */
export const viewsOf = (value: Value, buffers: ReadonlySet<Value>): View[] =>
  operandViewsOf(value, (other) => buffers.has(other), true).map((view, i) => ({
    ...view,
    shape: (value.inputs[i] as Value).shape,
  }));

/** A dimension that all products have in common, and how far apart its steps are in each array. */
export interface Batch {
  readonly size: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** C[batch…, rows, columns] = A[batch…, rows, depth] · B[batch…, depth, columns], as they lie in memory. */
export interface Product {
  readonly label: string;
  readonly out: Value;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly a: { readonly from: Value; readonly offset: number; readonly row: number; readonly along: number };
  readonly b: { readonly from: Value; readonly offset: number; readonly along: number; readonly column: number };
  readonly c: { readonly row: number };
  /** The outermost first. */
  readonly batch: readonly Batch[];
}

/**
 * Whether four elements of an operand that follow one another begin at whole vectors of memory, given how far apart its
 * rows are, for `count` elements a row.
 */
export const inVectors = (from: Value, count: number, steps: readonly number[]): boolean =>
  !isHalf(from.dtype) && count % 4 === 0 && steps.every((step) => step % 4 === 0);

/**
 * Turns the last batch dimension into rows of A, where B does not change along it and the rows go on. `wasm` has its own
 * version, for any batch dimension, because the rows of C may be apart there.
 */
export function withoutBroadcasts(product: Product): Product {
  const batch = product.batch.filter(({ size }) => size !== 1);
  const last = batch.at(-1);
  const { rows, a, c } = product;
  const goesOn =
    last !== undefined && last.b === 0 && last.c === rows * c.row && (rows === 1 || last.a === rows * a.row);
  if (!goesOn) return { ...product, batch };
  const row = rows === 1 ? last.a : a.row;
  return withoutBroadcasts({ ...product, batch: batch.slice(0, -1), rows: rows * last.size, a: { ...a, row } });
}

/** Code for where the products of one batch begin, from its number `batch`. */
export function batchOffsets({ batch, a, b }: Product): string {
  const sums: Record<'a' | 'b' | 'c', string[]> = { a: [`${a.offset}`], b: [`${b.offset}`], c: ['0'] };
  let stride = 1;
  for (const one of [...batch].reverse()) {
    const index = `(batch / ${stride}) % ${one.size}`;
    for (const operand of ['a', 'b', 'c'] as const)
      if (one[operand] !== 0) sums[operand].push(`${index} * ${one[operand]}`);
    stride *= one.size;
  }
  return (['a', 'b', 'c'] as const).map((operand) => `let ${operand}Start = ${sums[operand].join(' + ')};\n`).join('');
}
