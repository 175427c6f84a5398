import type { Condition, Scalar } from '../../compiler/kernel.ts';
import type { Position, Variable } from '../../compiler/position.ts';
import { variablesOf } from '../../compiler/position.ts';
import type { Value } from '../../compiler/program.ts';
import { partsOf, positionsOf } from '../../compiler/scalars.ts';
import { byteSize } from '../../dtype.ts';
import { ComputedScalars } from '../../executor/computedScalars.ts';
import {
  f64x2,
  type I32,
  i32,
  i32x4,
  type Local,
  local,
  type Statement,
  type V128,
  v128,
  when,
} from '../assembler/instructions.ts';
import type { KernelContext } from '../kernelPhase.ts';
import { applyLanes, castLanes } from '../simd/apply.ts';
import { type Count, laneDType, literalLanes, loadLanes } from '../simd/lanes.ts';
import { reverseLanes } from '../simd/transpose.ts';

/**
 * What the code of a scalar refers to: its kernel, the loops around it and the stages before it. Shares only its outline
 * with the file of the same name in `webgpu`: this one emits instructions on vectors, that one WGSL.
 */
export interface ScalarContext extends KernelContext {
  /** 4, or 2 in kernels with f64. */
  readonly lanes: 2 | 4;
  /** The loop along which the lanes of a vector lie. */
  readonly vector: Variable;
  /** The counter of each loop. */
  readonly loops: ReadonlyMap<Variable, Local<'i32'>>;
  /** The value of an earlier stage at the current place. */
  stage(stage: number): V128;
}

/** The locals of the scalars that a block of code has computed. */
export class Computed extends ComputedScalars<V128> {}

/** A position as code, from the counters of the loops. */
export function positionCode({ loops }: Pick<ScalarContext, 'loops'>, { constant, terms }: Position): I32 {
  const parts = terms.map(({ atom, factor }): I32 => {
    const value = atom.kind === 'variable' ? local.get(loops.get(atom) as Local<'i32'>) : quotientCode({ loops }, atom);
    return factor === 1 ? value : i32.mul(value, i32.const(factor));
  });
  const base = constant === 0 && parts.length > 0 ? [] : [i32.const(constant)];
  return [...parts, ...base].reduce((sum, part) => i32.add(sum, part));
}

function quotientCode(
  context: Pick<ScalarContext, 'loops'>,
  { kind, of, by }: { kind: 'quotient' | 'remainder'; of: Position; by: number },
): I32 {
  return (kind === 'quotient' ? i32.divU : i32.remU)(positionCode(context, of), i32.const(by));
}

/** Elements from one lane to the next; undefined where they are not evenly spaced. */
export function strideAlong(position: Position, vector: Variable): number | undefined {
  const inside = position.terms.some(({ atom }) => atom.kind !== 'variable' && variablesOf(atom.of).has(vector));
  if (inside) return undefined;
  return position.terms.find(({ atom }) => atom === vector)?.factor ?? 0;
}

/** The address of the element of a value at a position. */
export const elementAddress = (context: ScalarContext, value: Value, position: Position): I32 => {
  const { constant, terms } = position;
  const size = byteSize[value.dtype];
  const index = positionCode(context, { constant, terms });
  return i32.add(context.address(value), size === 1 ? index : i32.shl(index, i32.const(Math.log2(size))));
};

/** Runs code for the first lane alone at each of `count` places along the vector loop, and gathers the results into lanes. */
function laneByLane(
  context: ScalarContext,
  count: Count,
  wide: boolean,
  body: () => { code: Statement[]; value: V128 },
): V128 {
  const step = context.loops.get(context.vector) as Local<'i32'>;
  const result = context.scope.local('v128');
  const code: Statement[] = [local.set(result, v128.const(new Array<number>(16).fill(0)))];
  for (let lane = 0; lane < count; lane++) {
    const one = body();
    const merged = wide
      ? f64x2.replaceLane(local.get(result), lane, f64x2.extractLane(one.value, 0))
      : i32x4.replaceLane(local.get(result), lane, i32x4.extractLane(one.value, 0));
    code.push(...one.code, local.set(result, merged));
    if (lane + 1 < count) code.push(local.set(step, i32.add(local.get(step), i32.const(1))));
  }
  if (count > 1) code.push(local.set(step, i32.sub(local.get(step), i32.const(count - 1))));
  return [code, local.get(result)];
}

/**
 * Computes a scalar and its parts into locals: `count` lanes along the vector loop. Returns the statements and enters the
 * locals into `computed`.
 */
export function computeScalar(context: ScalarContext, scalar: Scalar, count: Count, computed: Computed): Statement[] {
  if (computed.get(scalar) !== undefined) return [];
  const code: Statement[] = [];
  if (scalar.kind !== 'masked')
    for (const part of partsOf(scalar)) code.push(...computeScalar(context, part, count, computed));
  const variable = context.scope.local('v128');
  code.push(local.set(variable, scalarCode(context, scalar, count, computed)));
  computed.set(scalar, local.get(variable));
  return code;
}

function scalarCode(context: ScalarContext, scalar: Scalar, count: Count, computed: Computed): V128 {
  const { scope, vector } = context;
  switch (scalar.kind) {
    case 'load': {
      const stride = strideAlong(scalar.position, vector);
      const address = elementAddress(context, scalar.from, scalar.position);
      if (stride === 1 || count === 1) return loadLanes(scalar.from.dtype, count, address);
      if (stride === 0) return splat(scalar.dtype, loadLanes(scalar.from.dtype, 1, address));
      if (stride === -1) {
        const lanes = scope.local('v128');
        const first = i32.sub(address, i32.const((count - 1) * byteSize[scalar.from.dtype]));
        const reversed = reverseLanes(scalar.dtype === 'f64', context.lanes, local.get(lanes));
        return [local.set(lanes, loadLanes(scalar.from.dtype, count, first)), reversed];
      }
      return laneByLane(context, count, scalar.dtype === 'f64', () => ({
        code: [],
        value: loadLanes(scalar.from.dtype, 1, address),
      }));
    }
    case 'argument': {
      const { base, offset } = context.argument(scalar.slot);
      return v128.load(base, offset);
    }
    case 'literal':
      return literalLanes(laneDType(scalar.dtype), scalar.value);
    case 'place':
      return placeLanes(context, scalar.position, scalar.dtype, count);
    case 'masked':
      return maskedCode(context, scalar, count, computed);
    case 'lookup':
      return lookupCode(context, scalar, count, computed);
    case 'apply':
      return applyLanes(
        scope,
        scalar,
        scalar.inputs.map((input) => computed.get(input) as V128),
        context.lanes,
      );
    case 'stage':
      return context.stage(scalar.stage);
  }
}

/** The first lane in every lane. */
export function splat(dtype: Scalar['dtype'], x: V128): V128 {
  return laneDType(dtype) === 'f64' ? f64x2.splat(f64x2.extractLane(x, 0)) : i32x4.splat(i32x4.extractLane(x, 0));
}

function placeLanes(context: ScalarContext, position: Position, dtype: Scalar['dtype'], count: Count): V128 {
  const stride = strideAlong(position, context.vector);
  const start = i32x4.splat(positionCode(context, position));
  const places =
    stride === undefined
      ? laneByLane(context, count, false, () => ({ code: [], value: start }))
      : stride === 0 || count === 1
        ? start
        : i32x4.add(
            start,
            v128.const([0, 1, 2, 3].flatMap((lane) => [...new Uint8Array(Int32Array.of(lane * stride).buffer)])),
          );
  return castLanes(context.scope, 'i32', dtype, places);
}

function conditionCode(context: ScalarContext, condition: Condition): I32 {
  const position = positionCode(context, condition.position);
  if (condition.kind === 'multiple') return i32.eqz(i32.remU(position, i32.const(condition.by)));
  const { low, high } = condition;
  if (low === Number.NEGATIVE_INFINITY) return i32.leS(position, i32.const(high));
  return i32.leU(i32.sub(position, i32.const(low)), i32.const(high - low));
}

function maskedCode(
  context: ScalarContext,
  scalar: Extract<Scalar, { kind: 'masked' }>,
  count: Count,
  computed: Computed,
): V128 {
  const isUniform = scalar.conditions.every(({ position }) => strideAlong(position, context.vector) === 0);
  const result = context.scope.local('v128');
  const branches = (active: Count): { code: Statement[]; value: V128 } => {
    const test = scalar.conditions
      .map((condition) => conditionCode(context, condition))
      .reduce((a, b) => i32.and(a, b));
    // Locals that a branch sets are valid only there and, where lanes differ, only for one lane.
    const branch = (part: Scalar): Statement[] => {
      const inner = new Computed(active === count ? computed : undefined);
      const code = computeScalar(context, part, active, inner);
      return [...code, local.set(result, inner.get(part) as V128)];
    };
    return { code: [when(test, branch(scalar.inside), branch(scalar.outside))], value: local.get(result) };
  };
  if (isUniform || count === 1) {
    const { code, value } = branches(count);
    return [code, value];
  }
  return laneByLane(context, count, laneDType(scalar.dtype) === 'f64', () => branches(1));
}

function lookupCode(
  context: ScalarContext,
  scalar: Extract<Scalar, { kind: 'lookup' }>,
  count: Count,
  computed: Computed,
): V128 {
  const indices = computed.get(scalar.index) as V128;
  const index = context.scope.local('i32');
  const elementSize = byteSize[scalar.from.dtype];
  let lane = 0;
  return laneByLane(context, count, laneDType(scalar.dtype) === 'f64', () => {
    const read = local.set(index, i32x4.extractLane(indices, lane++));
    const check = when(i32.geU(local.get(index), i32.const(scalar.size)), [
      context.reportIndex(scalar.gather, local.get(index)),
      local.set(index, i32.const(0)),
    ]);
    const place = i32.add(positionCode(context, scalar.position), i32.mul(local.get(index), i32.const(scalar.stride)));
    const address = i32.add(context.address(scalar.from), i32.mul(place, i32.const(elementSize)));
    return { code: [read, check], value: loadLanes(scalar.from.dtype, 1, address) };
  });
}

/** The loops that a scalar and its parts depend on. */
export function loopsOf(scalar: Scalar, known: Map<Scalar, ReadonlySet<Variable>>): ReadonlySet<Variable> {
  const existing = known.get(scalar);
  if (existing !== undefined) return existing;
  const found = new Set<Variable>();
  for (const position of positionsOf(scalar)) variablesOf(position, found);
  for (const part of partsOf(scalar)) for (const loop of loopsOf(part, known)) found.add(loop);
  known.set(scalar, found);
  return found;
}
