import { isFloat, type ValueArray } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import { input, type Kernels } from './kernel.ts';
import { permuted } from './strided.ts';

/** The input as rows: the given axes are moved to the end and merged. Rows are in the order of the kept axes. */
function rowsOf({ tensor, values }: { tensor: Tensor; values: ValueArray }, axes: readonly number[]) {
  const kept = tensor.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  const length = axes.reduce((product, axis) => product * (tensor.shape[axis] as number), 1);
  return { rows: permuted(values, tensor.shape, order), length, order };
}

/** Writes rows made by `rowsOf` along one axis back to where they came from. */
function writeRows(out: ValueArray, rows: ValueArray, shape: readonly number[], order: readonly number[]): void {
  const inverse = order.map((_, axis) => order.indexOf(axis));
  const moved = order.map((axis) => shape[axis] as number);
  out.set(permuted(rows, moved, inverse));
}

/** Pairwise summation: the error grows with the logarithm of the count (Higham 1993). */
function pairwiseSum(x: ValueArray, from: number, to: number): number {
  if (to - from <= 64) {
    let total = 0;
    for (let i = from; i < to; i++) total += x[i] as number;
    return total;
  }
  const middle = (from + to) >>> 1;
  return pairwiseSum(x, from, middle) + pairwiseSum(x, middle, to);
}

function wrappingSum(x: ValueArray, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total = (total + (x[i] as number)) | 0;
  return total;
}

function largest(x: ValueArray, from: number, to: number): number {
  let result = x[from] as number;
  for (let i = from + 1; i < to; i++) result = Math.max(result, x[i] as number);
  return result;
}

function firstLargest(x: ValueArray, from: number, to: number): number {
  let best = from;
  for (let i = from; i < to && !Number.isNaN(x[best]); i++) {
    if ((x[i] as number) > (x[best] as number) || Number.isNaN(x[i])) best = i;
  }
  return best - from;
}

/** Ascending order in which NaN is the largest. */
const compare = (a: number, b: number): number =>
  Number.isNaN(a) || Number.isNaN(b) ? Number(Number.isNaN(a)) - Number(Number.isNaN(b)) : a < b ? -1 : a > b ? 1 : 0;

export const reductions: Kernels<'sum' | 'max' | 'argMax' | 'cumsum' | 'argSort'> = {
  sum: (call) => {
    const add = isFloat(call.output.dtype) ? pairwiseSum : wrappingSum;
    const { rows, length } = rowsOf(input(call, 0), call.attributes.axes);
    for (let i = 0; i < call.out.length; i++) call.out[i] = add(rows, i * length, (i + 1) * length);
  },

  max: (call) => {
    const { rows, length } = rowsOf(input(call, 0), call.attributes.axes);
    for (let i = 0; i < call.out.length; i++) call.out[i] = largest(rows, i * length, (i + 1) * length);
  },

  argMax: (call) => {
    const { rows, length } = rowsOf(input(call, 0), [call.attributes.axis]);
    for (let i = 0; i < call.out.length; i++) call.out[i] = firstLargest(rows, i * length, (i + 1) * length);
  },

  cumsum: (call) => {
    const { rows, length, order } = rowsOf(input(call, 0), [call.attributes.axis]);
    const sums = rows.slice();
    const exact = isFloat(call.output.dtype);
    for (let start = 0; start < sums.length; start += length) {
      let total = 0;
      for (let i = start; i < start + length; i++) {
        total += rows[i] as number;
        if (!exact) total |= 0;
        sums[i] = total;
      }
    }
    writeRows(call.out, sums, call.output.shape, order);
  },

  argSort: (call) => {
    const { axis, descending } = call.attributes;
    const { rows, length, order } = rowsOf(input(call, 0), [axis]);
    const sorted = new Int32Array(rows.length);
    const sign = descending ? -1 : 1;
    for (let start = 0; start < sorted.length; start += length) {
      const index = Int32Array.from({ length }, (_, i) => i);
      // Ties go by position, so the order does not depend on the engine's sort being stable.
      index.sort((i, j) => sign * compare(rows[start + i] as number, rows[start + j] as number) || i - j);
      sorted.set(index, start);
    }
    writeRows(call.out, sorted, call.output.shape, order);
  },
};
