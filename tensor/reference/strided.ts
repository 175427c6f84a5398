import type { ValueArray } from '../dtype.ts';
import { type Shape, sizeOf, stridesOf } from '../shape.ts';

/** Elements of an array, walked from an offset with a stride for each axis. */
export interface View {
  readonly values: ValueArray;
  readonly offset: number;
  readonly strides: readonly number[];
}

/** All of a row-major array. */
export const whole = (values: ValueArray, shape: Shape): View => ({ values, offset: 0, strides: stridesOf(shape) });

/** Visits the positions of `shape` in row-major order: their number, and their offset by `strides`. */
export function walk(
  shape: Shape,
  strides: readonly number[],
  visit: (position: number, offset: number) => void,
): void {
  const size = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  let offset = 0;
  for (let position = 0; position < size; position++) {
    visit(position, offset);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] as number;
      const next = (index[axis] as number) + 1;
      offset += stride;
      if (next < (shape[axis] as number)) {
        index[axis] = next;
        break;
      }
      offset -= next * stride;
      index[axis] = 0;
    }
  }
}

/** Copies a block of `shape` from one view to another. Every movement operator is this with other offsets and strides. */
export function copyBlock(shape: Shape, from: View, to: View): void {
  const rows = shape.slice(0, -1);
  const length = shape.at(-1) ?? 1;
  const fromStep = from.strides.at(-1) ?? 0;
  const toStep = to.strides.at(-1) ?? 0;
  const targets = new Float64Array(sizeOf(rows));
  walk(rows, to.strides, (row, offset) => {
    targets[row] = to.offset + offset;
  });
  if (length === 0) return;
  walk(rows, from.strides, (row, offset) => {
    let source = from.offset + offset;
    let target = targets[row] as number;
    for (let i = 0; i < length; i++, source += fromStep, target += toStep) {
      to.values[target] = from.values[source] as number;
    }
  });
}

/** A new row-major array whose axis i is axis `order[i]` of the given one. */
export function permuted(values: ValueArray, shape: Shape, order: readonly number[]): ValueArray {
  if (order.every((axis, i) => axis === i)) return values;
  const strides = stridesOf(shape);
  const target = order.map((axis) => shape[axis] as number);
  const result = values.slice().fill(0);
  const from = { values, offset: 0, strides: order.map((axis) => strides[axis] as number) };
  copyBlock(target, from, whole(result, target));
  return result;
}
