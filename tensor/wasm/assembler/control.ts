import { range } from '../../range.ts';
import { brIf, type I32, i32, type Local, local, loop, type Statement, select, when } from './instructions.ts';
import type { Scope } from './module.ts';

/** Short names for common instructions. */
export const get = local.get;
export const set = local.set;
export const int = i32.const;

/** The numbers 0 … count − 1. */
export { range };

export const sum = (first: I32, ...rest: readonly I32[]): I32 => rest.reduce((a, b) => i32.add(a, b), first);
export const product = (first: I32, ...rest: readonly I32[]): I32 => rest.reduce((a, b) => i32.mul(a, b), first);

/** The smaller of two signed numbers. The code of both is written twice. */
export const minimum = (a: I32, b: I32): I32 => select(a, b, i32.ltS(a, b));

/** Adds to a variable. */
export const increase = (variable: Local<'i32'>, by: I32 | number): Statement =>
  set(variable, i32.add(get(variable), typeof by === 'number' ? int(by) : by));

/** Runs the body while counter < end, signed, from the counter's current value. The end is evaluated in each round. */
export const countUp = (
  counter: Local<'i32'>,
  end: I32,
  step: number | I32,
  ...body: readonly Statement[]
): Statement => {
  const more = i32.ltS(get(counter), end);
  return when(more, [loop(body, increase(counter, step), brIf(0, more))]);
};

/** Runs the body for counter = 0, step, 2·step … below the end. */
export const forRange = (
  counter: Local<'i32'>,
  end: I32,
  step: number | I32,
  ...body: readonly Statement[]
): Statement => [set(counter, int(0)), countUp(counter, end, step, ...body)];

/** Runs the body `times` times; the variable counts down to 0. */
export const repeat = (variable: Local<'i32'>, times: I32, ...body: readonly Statement[]): Statement => [
  set(variable, times),
  when(get(variable), [loop(body, increase(variable, -1), brIf(0, get(variable)))]),
];

type Words<S extends string> = S extends `${infer First} ${infer Rest}` ? First | Words<Rest> : S;

/** Declares i32 locals, from their names separated by spaces. */
export const integers = <const S extends string>(scope: Scope, names: S): Record<Words<S>, Local<'i32'>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, scope.local('i32')])) as Record<Words<S>, Local<'i32'>>;
