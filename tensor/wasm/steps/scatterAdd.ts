import type { Value } from '../../compiler/program.ts';
import { byteSize, isFloat } from '../../dtype.ts';
import type { Attributes } from '../../primitives.ts';
import { sizeOf, stridesOf } from '../../shape.ts';
import { countUp, forRange } from '../assembler/control.ts';
import {
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
import { castLanes } from '../simd/apply.ts';
import { storeLanes } from '../simd/lanes.ts';
import { elementAt, loadNumber, type StepPlan } from './rows.ts';

/** A unit is one place of the axes before the indexed one. No two units write to the same element. */
export function scatterAdd(value: Value): StepPlan {
  const [base, index, updates] = value.inputs as readonly [Value, Value, Value];
  const { axis } = value.attributes as Attributes['scatterAdd'];
  const { dtype } = value;
  const strides = stridesOf(value.shape);
  const before = index.shape.slice(0, axis);
  const units = sizeOf(value.shape.slice(0, axis));
  const block = sizeOf(value.shape.slice(axis));
  return {
    units,
    scratchBytes: 0,
    code: ({ scope, address, reportIndex }, from, to) => {
      const loops = index.shape.map(() => scope.local('i32'));
      const [at, position, rest, isInside] = [
        scope.local('i32'),
        scope.local('i32'),
        scope.local('i32'),
        scope.local('i32'),
      ];
      const lanes = scope.local('v128');
      // Splits the unit's number by the leading axes of the output; those of the indices may be shorter.
      const decode: Statement[] = [
        local.set(rest, local.get(from)),
        local.set(isInside, i32.const(1)),
        local.set(position, i32.const(0)),
      ];
      const indexStrides = stridesOf(index.shape);
      for (let i = axis - 1; i >= 0; i--) {
        const loop = loops[i] as Local<'i32'>;
        decode.push(
          local.set(loop, i32.remU(local.get(rest), i32.const(value.shape[i] as number))),
          local.set(rest, i32.divU(local.get(rest), i32.const(value.shape[i] as number))),
          local.set(isInside, i32.and(local.get(isInside), i32.ltS(local.get(loop), i32.const(before[i] as number)))),
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
        when(local.get(isInside), [nest]),
      );
    },
  };
}
