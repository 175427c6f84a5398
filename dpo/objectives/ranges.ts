import { TensorError } from '../../tensor/index.ts';

/** Checks of an objective's options. Each throws a `TensorError` with the objective, the option, its value and the allowed range. */

/** Above 0, with a finite value and reciprocal. */
export function positive(objective: string, option: string, value: number): void {
  check(value > 0 && Number.isFinite(1 / value), objective, option, 'a positive number', value);
}

/** 0 or above, and finite. */
export function notNegative(objective: string, option: string, value: number): void {
  check(value >= 0, objective, option, 'a number from 0 up', value);
}

/** An integer above 0. */
export function count(objective: string, option: string, value: number): void {
  check(Number.isSafeInteger(value) && value > 0, objective, option, 'a whole number from 1 up', value);
}

/** In [from, to]. */
export function within(objective: string, option: string, value: number, from: number, to: number): void {
  check(value >= from && value <= to, objective, option, `a number from ${from} to ${to}`, value);
}

/** In [from, to). */
export function below(objective: string, option: string, value: number, from: number, to: number): void {
  check(value >= from && value < to, objective, option, `at least ${from} and below ${to}`, value);
}

/** One of a list of names. */
export function named<T extends string>(objective: string, option: string, value: T, names: readonly T[]): void {
  if (!names.includes(value))
    throw new TensorError(`${objective}: ${option} must be one of ${names.join(', ')}, got ${String(value)}`);
}

function check(isRight: boolean, objective: string, option: string, wanted: string, value: number): void {
  if (!isRight || typeof value !== 'number' || !Number.isFinite(value))
    throw new TensorError(`${objective}: ${option} must be ${wanted}, got ${value}`);
}
