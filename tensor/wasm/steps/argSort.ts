import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import { countUp, forRange, minimum } from '../assembler/control.ts';
import { type F64, f64, type I32, i32, type Local, local, when } from '../assembler/instructions.ts';
import { elementAt, loadNumber, rowsAlong, type StepPlan } from './rows.ts';

/** A stable merge sort, from the bottom up, between two scratch rows of indices. */
export function argSort(value: Value): StepPlan {
  const [x] = value.inputs as readonly [Value];
  const { axis, descending } = value.attributes as Attributes['argSort'];
  const { after, length, rows, start } = rowsAlong(x, axis);
  return {
    // All rows use the same scratch rows, so one unit sorts them all.
    units: 1,
    scratchBytes: 2 * 4 * length,
    code: ({ scope, address, scratch }, _from, _to) => {
      const names = ['row', 'width', 'low', 'middle', 'high', 'i', 'j', 'k', 'from', 'to', 'a', 'b'] as const;
      const l = Object.fromEntries(names.map((name) => [name, scope.local('i32')])) as Record<
        (typeof names)[number],
        Local<'i32'>
      >;
      const [keyA, keyB] = [scope.local('f64'), scope.local('f64')];
      const word = (base: Local<'i32'>, index: I32): I32 => i32.add(local.get(base), i32.shl(index, i32.const(2)));
      const key = (index: I32): F64 =>
        loadNumber(
          scope,
          x.dtype,
          elementAt(address(x), x.dtype, i32.add(start(local.get(l.row)), i32.mul(index, i32.const(after)))),
        );
      const [a, b] = descending ? [keyB, keyA] : [keyA, keyB];
      const isNaN = (f: Local<'f64'>): I32 => i32.eqz(f64.eq(local.get(f), local.get(f)));
      // b comes before a only if strictly smaller; NaN counts as the largest value.
      const isBFirst = i32.or(f64.lt(local.get(b), local.get(a)), i32.and(isNaN(a), i32.eqz(isNaN(b))));
      const takeB = i32.and(
        i32.ltS(local.get(l.j), local.get(l.high)),
        i32.or(i32.geS(local.get(l.i), local.get(l.middle)), isBFirst),
      );
      const readKeys = [
        when(i32.ltS(local.get(l.i), local.get(l.middle)), [
          local.set(l.a, i32.load(word(l.from, local.get(l.i)))),
          local.set(keyA, key(local.get(l.a))),
        ]),
        when(i32.ltS(local.get(l.j), local.get(l.high)), [
          local.set(l.b, i32.load(word(l.from, local.get(l.j)))),
          local.set(keyB, key(local.get(l.b))),
        ]),
      ];
      const merge = countUp(
        l.k,
        local.get(l.high),
        1,
        ...readKeys,
        when(
          takeB,
          [
            i32.store(word(l.to, local.get(l.k)), local.get(l.b)),
            local.set(l.j, i32.add(local.get(l.j), i32.const(1))),
          ],
          [
            i32.store(word(l.to, local.get(l.k)), local.get(l.a)),
            local.set(l.i, i32.add(local.get(l.i), i32.const(1))),
          ],
        ),
      );
      const pass = [
        local.set(l.low, i32.const(0)),
        countUp(
          l.low,
          i32.const(length),
          0,
          local.set(l.middle, minimum(i32.add(local.get(l.low), local.get(l.width)), i32.const(length))),
          local.set(l.high, minimum(i32.add(local.get(l.middle), local.get(l.width)), i32.const(length))),
          local.set(l.i, local.get(l.low)),
          local.set(l.j, local.get(l.middle)),
          local.set(l.k, local.get(l.low)),
          merge,
          local.set(l.low, local.get(l.high)),
        ),
        local.set(l.a, local.get(l.from)),
        local.set(l.from, local.get(l.to)),
        local.set(l.to, local.get(l.a)),
        local.set(l.width, i32.shl(local.get(l.width), i32.const(1))),
      ];
      return forRange(
        l.row,
        i32.const(rows),
        1,
        local.set(l.from, scratch),
        local.set(l.to, i32.add(scratch, i32.const(4 * length))),
        forRange(l.i, i32.const(length), 1, i32.store(word(l.from, local.get(l.i)), local.get(l.i))),
        local.set(l.width, i32.const(1)),
        countUp(l.width, i32.const(length), 0, ...pass),
        forRange(
          l.i,
          i32.const(length),
          1,
          i32.store(
            elementAt(
              address(value),
              'i32',
              i32.add(start(local.get(l.row)), i32.mul(local.get(l.i), i32.const(after))),
            ),
            i32.load(word(l.from, local.get(l.i))),
          ),
        ),
      );
    },
  };
}
