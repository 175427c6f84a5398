import { countUp, get, increase, int, minimum, product, set } from '../assembler/control.ts';
import { type I32, i32, type Local, type Statement, when } from '../assembler/instructions.ts';
import type { Scope } from '../assembler/module.ts';
import type { Count } from '../simd/lanes.ts';
import type { Pieces } from './loopPlan.ts';

/** Counts up to `end` by whole vectors while they fit, then one by one. */
export const vectorLoop = (
  counter: Local<'i32'>,
  end: I32,
  lanes: 2 | 4,
  body: (count: Count) => Statement,
): Statement => [countUp(counter, i32.sub(end, int(lanes - 1)), lanes, body(lanes)), countUp(counter, end, 1, body(1))];

/** A local for the number of a piece, and code that computes the piece's ends, [low, high). */
export function pieceOf(scope: Scope, { loop, size, count }: Pieces) {
  const [number, low, high] = [scope.local('i32'), scope.local('i32'), scope.local('i32')];
  const start: Statement =
    count === 1
      ? [set(low, int(0)), set(high, int(loop.size))]
      : [set(low, product(get(number), int(size))), set(high, minimum(i32.add(get(low), int(size)), int(loop.size)))];
  return { number, low, high, start };
}

/** A digit of a unit's number in mixed radix. */
export interface Digit {
  readonly counter: Local<'i32'>;
  readonly size: number;
}

/** Runs the body for units [from, to). The digits count along, the last one fastest. */
export function eachUnit(
  scope: Scope,
  from: Local<'i32'>,
  to: Local<'i32'>,
  digits: readonly Digit[],
  body: Statement,
): Statement {
  const used = digits.filter(({ size }) => size > 1);
  const rest = scope.local('i32');
  const split = used
    .toReversed()
    .map(({ counter, size }, i) =>
      i === used.length - 1
        ? set(counter, get(rest))
        : [set(counter, i32.remU(get(rest), int(size))), set(rest, i32.divU(get(rest), int(size)))],
    );
  const next = used.reduce<Statement>(
    (carry, { counter, size }) => [
      increase(counter, 1),
      when(i32.eq(get(counter), int(size)), [set(counter, int(0)), carry]),
    ],
    [],
  );
  return [set(rest, get(from)), split, countUp(from, get(to), 1, body, next)];
}
