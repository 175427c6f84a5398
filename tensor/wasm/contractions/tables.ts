import { forRange, get, int, product, range, sum } from '../assembler/control.ts';
import { type I32, i32, type Local, type Statement } from '../assembler/instructions.ts';

/** True if `count` entries of a table, from number `first` on, are `bytes` apart. */
export const contiguous = (table: Local<'i32'>, first: number, count: number, bytes: number): I32 =>
  range(count - 1)
    .map((j) => i32.sub(i32.load(get(table), (first + j + 1) * 4), i32.load(get(table), (first + j) * 4)))
    .map((distance) => i32.eq(distance, int(bytes)))
    .reduce((a, b) => i32.and(a, b));

/** Fills `table` with j·step for each of `columns` columns j; `column` counts them. */
export const evenTable = (table: Local<'i32'>, column: Local<'i32'>, columns: I32, step: I32): Statement =>
  forRange(column, columns, 1, i32.store(sum(get(table), product(get(column), int(4))), product(get(column), step)));
