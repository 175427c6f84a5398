import { forRange, get, increase, int, minimum, product, repeat, set } from '../assembler/control.ts';
import { type I32, i32, type Local, type Statement, when } from '../assembler/instructions.ts';
import type { Scope } from '../assembler/module.ts';

/** Runs the body for every item of a unit: item = unit·itemsPerUnit + 0, 1, …, up to the last item. */
export function eachItem(
  scope: Scope,
  unit: Local<'i32'>,
  words: (name: 'items' | 'itemsPerUnit') => I32,
  item: Local<'i32'>,
  ...body: readonly Statement[]
): Statement {
  const first = scope.local('i32');
  const i = scope.local('i32');
  return [
    set(first, product(get(unit), words('itemsPerUnit'))),
    forRange(
      i,
      minimum(words('itemsPerUnit'), i32.sub(words('items'), get(first))),
      1,
      set(item, i32.add(get(first), get(i))),
      body,
    ),
  ];
}

/** Splits the lowest digit off: digit = rest mod size, rest = ⌊rest / size⌋. */
export const splitDigit = (rest: Local<'i32'>, digit: Local<'i32'>, size: I32): Statement => [
  set(digit, i32.remU(get(rest), size)),
  set(rest, i32.divU(get(rest), size)),
];

/**
 * Moves pointers to a batch entry. `list` is the address of [size, step of each pointer] for each batch dimension, the
 * last one first. Overwrites `batch`.
 */
export function moveToBatch(
  scope: Scope,
  list: I32,
  rank: I32,
  batch: Local<'i32'>,
  pointers: readonly Local<'i32'>[],
): Statement {
  const at = scope.local('i32');
  const digit = scope.local('i32');
  return [
    set(at, list),
    repeat(
      scope.local('i32'),
      rank,
      splitDigit(batch, digit, i32.load(get(at))),
      pointers.map((pointer, p) => increase(pointer, product(get(digit), i32.load(get(at), 4 + p * 4)))),
      increase(at, 4 + pointers.length * 4),
    ),
  ];
}

/** Increments a digit; when it reaches its size, resets it to 0 and runs `rest`. */
export const carry = (digit: Local<'i32'>, size: I32, ...rest: readonly Statement[]): Statement => [
  increase(digit, 1),
  when(i32.eq(get(digit), size), [set(digit, int(0)), rest]),
];

/**
 * A number in the mixed radix (size0, size1, size2, inner), counted up in runs of its last digit. `start` splits the
 * number into digits; `next` goes to the start of the next run.
 */
export function runs(scope: Scope, words: (name: 'size0' | 'size1' | 'size2' | 'inner') => I32) {
  const outer = [scope.local('i32'), scope.local('i32'), scope.local('i32')] as const;
  const [first, second, third] = outer;
  const inner = scope.local('i32');
  const start = (number: I32): Statement => [
    set(first, number),
    splitDigit(first, inner, words('inner')),
    splitDigit(first, third, words('size2')),
    splitDigit(first, second, words('size1')),
  ];
  const next: Statement = [
    set(inner, int(0)),
    carry(third, words('size2'), carry(second, words('size1'), increase(first, 1))),
  ];
  return { outer, inner, start, next };
}
