import { brIf, type I32, i32, type Local, local, loop, type Statement, select, when } from './instructions.ts';

/** Repeats while counter < end, from the counter's present value. */
export const countUp = (counter: Local<'i32'>, end: I32, step: number, ...body: readonly Statement[]): Statement =>
  when(i32.ltS(local.get(counter), end), [
    loop(
      ...body,
      local.set(counter, i32.add(local.get(counter), i32.const(step))),
      brIf(0, i32.ltS(local.get(counter), end)),
    ),
  ]);

/** Runs the body for counter = 0, 1, …, end − 1. */
export const countFromZero = (counter: Local<'i32'>, end: I32, ...body: readonly Statement[]): Statement => [
  local.set(counter, i32.const(0)),
  countUp(counter, end, 1, ...body),
];

/** The smaller of two signed numbers; both are evaluated twice. */
export const minimum = (a: I32, b: I32): I32 => select(a, b, i32.ltS(a, b));
