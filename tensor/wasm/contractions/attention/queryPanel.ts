import { forRange, get, int, integers, minimum, range, repeat, set } from '../../assembler/control.ts';
import {
  f32,
  f32x4,
  f64,
  f64x2,
  type I32,
  i32,
  type Local,
  type Statement,
  type V128,
  v128,
} from '../../assembler/instructions.ts';
import type { Scope } from '../../assembler/module.ts';
import { double, type FloatLanes, single } from '../../simd/math/format.ts';
import { vectorMath } from '../../simd/math/index.ts';
import type { Element } from '../element.ts';
import { blockColumns, blockVectors } from '../microKernel.ts';

/** Elements added one after the other before their sum is added to the total. */
const summedAtOnce = 256;

const instructionsOf = (element: Element) =>
  element.name === 'f64'
    ? {
        float: f64x2 as FloatLanes,
        exp: vectorMath.f64.exp,
        splat: (value: I32): V128 => f64x2.splat(f64.convertI32S(value)),
        maxFinite: double.maxFinite,
        countFrom: (first: number): V128 => f64x2.replaceLane(f64x2.const(first), 1, f64.const(first + 1)),
      }
    : {
        float: f32x4 as FloatLanes,
        exp: vectorMath.f32.exp,
        splat: (value: I32): V128 => f32x4.splat(f32.convertI32S(value)),
        maxFinite: single.maxFinite,
        countFrom: (first: number): V128 =>
          v128.const([...new Uint8Array(Float32Array.from(range(4), (i) => first + i).buffer)]),
      };

/** One local for each vector of a row. */
export type RowLocals = readonly Local<'v128'>[];

/** What code on a panel [rows, queries] is made of. A row is as long as a register block is wide: `vectors` vectors. */
export function queryPanel(element: Element) {
  const columns = blockColumns(element);
  const vectors = range(blockVectors);
  const locals = (scope: Scope): RowLocals => vectors.map(() => scope.local('v128'));
  const vectorOf = (row: RowLocals, v: number): V128 => get(row[v] as Local<'v128'>);
  const { float, ...instructions } = instructionsOf(element);
  return {
    element,
    float,
    ...instructions,
    columns,
    /** Bytes of a row. */
    rowBytes: columns * element.bytes,
    vectors,
    locals,
    vectorOf,
    setVector: (row: RowLocals, v: number, value: V128): Statement => set(row[v] as Local<'v128'>, value),
    load: (from: Local<'i32'>, v: number): V128 => v128.load(get(from), v * 16),
    store: (to: Local<'i32'>, v: number, value: V128): Statement => v128.store(get(to), value, v * 16),
    /** totals = Σ over `count` rows of what `body` adds to `partial`, which is added to `totals` after every 256 rows. */
    sumRows: (
      scope: Scope,
      count: Local<'i32'>,
      totals: RowLocals,
      body: (partial: RowLocals) => Statement,
    ): Statement => {
      const partial = locals(scope);
      const { at, i } = integers(scope, 'at i');
      return [
        totals.map((total) => set(total, element.zero)),
        forRange(
          at,
          get(count),
          summedAtOnce,
          partial.map((sum) => set(sum, element.zero)),
          repeat(i, minimum(int(summedAtOnce), i32.sub(get(count), get(at))), body(partial)),
          totals.map((total, v) => set(total, float.add(get(total), vectorOf(partial, v)))),
        ),
      ];
    },
  };
}

export type QueryPanel = ReturnType<typeof queryPanel>;
