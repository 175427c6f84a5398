import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import { countUp, forRange } from '../assembler/control.ts';
import { type F64, f64, type I32, i32, local, when } from '../assembler/instructions.ts';
import { elementAt, loadNumber, rowsAlong, type StepPlan } from './rows.ts';

/** A unit is one row. */
export function argMax(value: Value): StepPlan {
  const [x] = value.inputs as readonly [Value];
  const { after, length, rows, start } = rowsAlong(x, (value.attributes as Attributes['argMax']).axis);
  return {
    units: rows,
    scratchBytes: 0,
    code: ({ scope, address }, from, to) => {
      const [i, best] = [scope.local('i32'), scope.local('i32')];
      const [largest, candidate] = [scope.local('f64'), scope.local('f64')];
      const first = start(local.get(from));
      const index = i32.add(first, i32.mul(local.get(i), i32.const(after)));
      const isNaN = (a: F64): I32 => i32.eqz(f64.eq(a, a));
      // NaN counts as the largest value; the first of equals wins.
      const better = i32.and(
        i32.or(f64.lt(local.get(largest), local.get(candidate)), isNaN(local.get(candidate))),
        i32.eqz(isNaN(local.get(largest))),
      );
      return countUp(
        from,
        local.get(to),
        1,
        local.set(best, i32.const(0)),
        local.set(largest, loadNumber(scope, x.dtype, elementAt(address(x), x.dtype, first))),
        forRange(
          i,
          i32.const(length),
          1,
          local.set(candidate, loadNumber(scope, x.dtype, elementAt(address(x), x.dtype, index))),
          when(better, [local.set(largest, local.get(candidate)), local.set(best, local.get(i))]),
        ),
        i32.store(elementAt(address(value), 'i32', local.get(from)), local.get(best)),
      );
    },
  };
}
