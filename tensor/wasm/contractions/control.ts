import { block, brIf, type I32, i32, type Local, local, loop, type Statement } from '../instructions.ts';
import type { Scope } from '../module.ts';

/** Short names for what every generator here writes often. */
export const get = local.get;
export const set = local.set;
export const int = i32.const;

/** Adds to a variable. */
export const increase = (variable: Local<'i32'>, by: I32 | number): Statement =>
  set(variable, i32.add(get(variable), typeof by === 'number' ? int(by) : by));

export const sum = (first: I32, ...rest: readonly I32[]): I32 => rest.reduce((a, b) => i32.add(a, b), first);
export const product = (first: I32, ...rest: readonly I32[]): I32 => rest.reduce((a, b) => i32.mul(a, b), first);

/** Runs the body for variable = 0, step, 2·step … below the limit, which is evaluated every time round. */
export const forRange = (
  variable: Local<'i32'>,
  limit: I32,
  step: number | I32,
  ...body: readonly Statement[]
): Statement => [
  set(variable, int(0)),
  block(
    brIf(0, i32.geU(get(variable), limit)),
    loop(body, increase(variable, step), brIf(0, i32.ltU(get(variable), limit))),
  ),
];

/** Runs the body that many times, counting the variable down to 0. */
export const repeat = (variable: Local<'i32'>, times: I32, ...body: readonly Statement[]): Statement => [
  set(variable, times),
  block(brIf(0, i32.eqz(get(variable))), loop(body, increase(variable, -1), brIf(0, get(variable)))),
];

/** The numbers 0 … count − 1. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

type Words<S extends string> = S extends `${infer First} ${infer Rest}` ? First | Words<Rest> : S;

/** Declares i32 variables, given their names with spaces between. */
export const integers = <const S extends string>(scope: Scope, names: S): Record<Words<S>, Local<'i32'>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, scope.local('i32')])) as Record<Words<S>, Local<'i32'>>;
