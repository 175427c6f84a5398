import type { Value } from '../../compiler/program.ts';
import { byteSize, type DType, isFloat } from '../../dtype.ts';
import type { Attributes } from '../../primitives.ts';
import { sizeOf, stridesOf } from '../../shape.ts';
import { countUp, forRange, minimum } from '../assembler/control.ts';
import {
  type F64,
  f64,
  f64x2,
  type I32,
  i32,
  type Local,
  local,
  memoryCopy,
  type Statement,
  when,
} from '../assembler/instructions.ts';
import type { Scope } from '../assembler/module.ts';
import { castLanes } from '../simd/apply.ts';
import { loadLanes, storeLanes } from '../simd/lanes.ts';

/** What the code of a step refers to. */
export interface StepContext {
  readonly scope: Scope;
  address(value: Value): I32;
  /** The address of the step's own scratch memory. */
  readonly scratch: I32;
  reportIndex(value: Value, index: I32): Statement;
}

/** A step's work: its code does units [from, to). */
export interface StepPlan {
  readonly units: number;
  readonly scratchBytes: number;
  readonly code: (context: StepContext, from: Local<'i32'>, to: Local<'i32'>) => Statement;
}

/** An element of any dtype as f64, which holds all of them exactly. */
const loadNumber = (scope: Scope, dtype: DType, address: I32): F64 =>
  f64x2.extractLane(castLanes(scope, dtype, 'f64', loadLanes(dtype, 1, address)), 0);

const elementAt = (base: I32, dtype: DType, index: I32): I32 =>
  i32.add(base, i32.mul(index, i32.const(byteSize[dtype])));

/** A row-major array as [before, length, after] around one axis: row r starts at element ⌊r/after⌋·length·after + r mod after. */
function rowsAlong({ shape }: Value, axis: number) {
  const after = sizeOf(shape.slice(axis + 1));
  const length = shape[axis] as number;
  const rows = sizeOf(shape.slice(0, axis)) * after;
  const start = (row: I32): I32 =>
    i32.add(i32.mul(i32.divU(row, i32.const(after)), i32.const(length * after)), i32.remU(row, i32.const(after)));
  return { after, length, rows, start };
}

/** Plans one of the steps that are neither loops nor contractions. */
export function planStep(value: Value): StepPlan {
  switch (value.primitive) {
    case 'argMax':
      return argMax(value);
    case 'cumsum':
      return cumsum(value);
    case 'argSort':
      return argSort(value);
    case 'scatterAdd':
      return scatterAdd(value);
    default:
      throw new Error(`wasm: ${value.primitive} is not a step`);
  }
}

function argMax(value: Value): StepPlan {
  const [x] = value.inputs as readonly [Value];
  const { after, length, rows, start } = rowsAlong(x, (value.attributes as Attributes['argMax']).axis);
  return {
    units: rows,
    scratchBytes: 0,
    code: ({ scope, address }, from, to) => {
      const [i, best] = [scope.local('i32'), scope.local('i32')];
      const [largest, candidate] = [scope.local('f64'), scope.local('f64')];
      const first = start(local.get(from));
      const place = i32.add(first, i32.mul(local.get(i), i32.const(after)));
      const isNaN = (a: F64): I32 => i32.eqz(f64.eq(a, a));
      // NaN counts as the largest, and the first of equals wins.
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
          local.set(candidate, loadNumber(scope, x.dtype, elementAt(address(x), x.dtype, place))),
          when(better, [local.set(largest, local.get(candidate)), local.set(best, local.get(i))]),
        ),
        i32.store(elementAt(address(value), 'i32', local.get(from)), local.get(best)),
      );
    },
  };
}

function cumsum(value: Value): StepPlan {
  const [x] = value.inputs as readonly [Value];
  const { dtype } = value;
  const { after, length, rows, start } = rowsAlong(x, (value.attributes as Attributes['cumsum']).axis);
  return {
    units: rows,
    scratchBytes: 0,
    code: ({ scope, address }, from, to) => {
      const i = scope.local('i32');
      const place = i32.add(start(local.get(from)), i32.mul(local.get(i), i32.const(after)));
      const source = elementAt(address(x), dtype, place);
      const target = elementAt(address(value), dtype, place);
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

/** Merge sort from the bottom up, between the output and a scratch row, so equal elements keep their order. */
function argSort(value: Value): StepPlan {
  const [x] = value.inputs as readonly [Value];
  const { axis, descending } = value.attributes as Attributes['argSort'];
  const { after, length, rows, start } = rowsAlong(x, axis);
  return {
    // The scratch rows are shared, so one unit does all rows.
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
      // b before a only if strictly smaller, with NaN larger than everything.
      const second = i32.or(f64.lt(local.get(b), local.get(a)), i32.and(isNaN(a), i32.eqz(isNaN(b))));
      const takeB = i32.and(
        i32.ltS(local.get(l.j), local.get(l.high)),
        i32.or(i32.geS(local.get(l.i), local.get(l.middle)), second),
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

/** One unit for each place of the axes before the indexed one: their targets are apart, so no two units meet. */
function scatterAdd(value: Value): StepPlan {
  const [base, index, updates] = value.inputs as readonly [Value, Value, Value];
  const { axis } = value.attributes as Attributes['scatterAdd'];
  const { dtype } = value;
  const strides = stridesOf(value.shape);
  const before = index.shape.slice(0, axis);
  const baseUnits = sizeOf(value.shape.slice(0, axis));
  const block = sizeOf(value.shape.slice(axis));
  return {
    units: baseUnits,
    scratchBytes: 0,
    code: ({ scope, address, reportIndex }, from, to) => {
      const loops = index.shape.map(() => scope.local('i32'));
      const [at, position, rest, inside] = [
        scope.local('i32'),
        scope.local('i32'),
        scope.local('i32'),
        scope.local('i32'),
      ];
      const lanes = scope.local('v128');
      // The unit's number in the output's leading axes; index axes may be shorter.
      const decode: Statement[] = [
        local.set(rest, local.get(from)),
        local.set(inside, i32.const(1)),
        local.set(position, i32.const(0)),
      ];
      const indexStrides = stridesOf(index.shape);
      for (let i = axis - 1; i >= 0; i--) {
        const loop = loops[i] as Local<'i32'>;
        decode.push(
          local.set(loop, i32.remU(local.get(rest), i32.const(value.shape[i] as number))),
          local.set(rest, i32.divU(local.get(rest), i32.const(value.shape[i] as number))),
          local.set(inside, i32.and(local.get(inside), i32.ltS(local.get(loop), i32.const(before[i] as number)))),
        );
      }
      const sumOver = (list: readonly number[], chosen: (i: number) => I32): I32 =>
        list.map((stride, i) => i32.mul(chosen(i), i32.const(stride))).reduce((a, b) => i32.add(a, b), i32.const(0));
      const counter = (i: number): I32 => local.get(loops[i] as Local<'i32'>);
      const target = elementAt(
        address(value),
        dtype,
        sumOver(strides, (i) => (i === axis ? local.get(at) : counter(i))),
      );
      const source = elementAt(address(updates), dtype, local.get(position));
      const addOne = isFloat(dtype)
        ? [
            local.set(
              lanes,
              castLanes(
                scope,
                'f64',
                dtype,
                f64x2.splat(f64.add(loadNumber(scope, dtype, target), loadNumber(scope, dtype, source))),
              ),
            ),
            storeLanes(dtype, 1, target, local.get(lanes)),
          ]
        : [i32.store(target, i32.add(i32.load(target), i32.load(source)))];
      const body = [
        local.set(position, sumOver(indexStrides, counter)),
        local.set(at, i32.load(elementAt(address(index), 'i32', local.get(position)))),
        when(
          i32.geU(local.get(at), i32.const(value.shape[axis] as number)),
          [reportIndex(value, local.get(at))],
          addOne,
        ),
      ];
      const nest = loops
        .slice(axis)
        .reduceRight<Statement>(
          (code, loop, i) => forRange(loop, i32.const(index.shape[axis + i] as number), 1, code),
          body,
        );
      const start = i32.mul(local.get(from), i32.const(block * byteSize[dtype]));
      return countUp(
        from,
        local.get(to),
        1,
        memoryCopy(i32.add(address(value), start), i32.add(address(base), start), i32.const(block * byteSize[dtype])),
        decode,
        when(local.get(inside), [nest]),
      );
    },
  };
}
