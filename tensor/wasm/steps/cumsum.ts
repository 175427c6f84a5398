import type { Value } from '../../compiler/program.ts';
import { isFloat } from '../../dtype.ts';
import type { Attributes } from '../../primitives.ts';
import { countUp, forRange } from '../assembler/control.ts';
import { f64, f64x2, i32, local } from '../assembler/instructions.ts';
import { castLanes } from '../simd/apply.ts';
import { storeLanes } from '../simd/lanes.ts';
import { elementAt, loadNumber, rowsAlong, type StepPlan } from './rows.ts';

/** A unit is one row. Floats are added up in f64. */
export function cumsum(value: Value): StepPlan {
  const [x] = value.inputs as readonly [Value];
  const { dtype } = value;
  const { after, length, rows, start } = rowsAlong(x, (value.attributes as Attributes['cumsum']).axis);
  return {
    units: rows,
    scratchBytes: 0,
    code: ({ scope, address }, from, to) => {
      const i = scope.local('i32');
      const index = i32.add(start(local.get(from)), i32.mul(local.get(i), i32.const(after)));
      const source = elementAt(address(x), dtype, index);
      const target = elementAt(address(value), dtype, index);
      if (!isFloat(dtype)) {
        const total = scope.local('i32');
        return countUp(
          from,
          local.get(to),
          1,
          local.set(total, i32.const(0)),
          forRange(
            i,
            i32.const(length),
            1,
            local.set(total, i32.add(local.get(total), i32.load(source))),
            i32.store(target, local.get(total)),
          ),
        );
      }
      const total = scope.local('f64');
      const lanes = scope.local('v128');
      return countUp(
        from,
        local.get(to),
        1,
        local.set(total, f64.const(0)),
        forRange(
          i,
          i32.const(length),
          1,
          local.set(total, f64.add(local.get(total), loadNumber(scope, dtype, source))),
          local.set(lanes, castLanes(scope, 'f64', dtype, f64x2.splat(local.get(total)))),
          storeLanes(dtype, 1, target, local.get(lanes)),
        ),
      );
    },
  };
}
