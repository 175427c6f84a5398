import type { LoopKernel, Scalar, Stage } from '../../compiler/kernel.ts';
import type { Variable } from '../../compiler/position.ts';
import { allParts, partsOf } from '../../compiler/scalars.ts';
import { byteSize } from '../../dtype.ts';
import { get, increase, range, set } from '../assembler/control.ts';
import { i8x16, i32, type Local, type Statement, type V128 } from '../assembler/instructions.ts';
import type { KernelContext } from '../kernelPhase.ts';
import { type Count, storeLanes } from '../simd/lanes.ts';
import type { LoopPlan } from './loopPlan.ts';
import { type Computed, computeScalar, loopsOf, positionCode, type ScalarContext, strideAlong } from './scalarCode.ts';

/** The values of stages at one place, by the stage's number. */
export type StageValues = Map<number, V128>;

/** Writes what the code of maps and of reductions shares. */
export class LoopWriter {
  readonly context: ScalarContext;
  readonly kernel: LoopKernel;
  /** The values that scalars of kind 'stage' refer to in code written from now on. */
  stageValues: StageValues = new Map();
  readonly #dependsOn = new Map<Scalar, ReadonlySet<Variable>>();

  constructor({ kernel, lanes, vector }: LoopPlan, context: KernelContext) {
    this.kernel = kernel;
    this.context = {
      ...context,
      lanes,
      vector,
      loops: new Map([...kernel.outer, ...kernel.inner].map((one) => [one, context.scope.local('i32')])),
      stage: (stage) => this.stageValues.get(stage) as V128,
    };
  }

  counter(loop: Variable): Local<'i32'> {
    return this.context.loops.get(loop) as Local<'i32'>;
  }

  /** Computes the parts of all stages that are made of constants and arguments alone. */
  constants(computed: Computed): Statement[] {
    const isConstant = (scalar: Scalar): boolean =>
      this.#loopsIn(scalar).size === 0 &&
      [...allParts(scalar)].every(({ kind }) => kind === 'argument' || kind === 'literal' || kind === 'apply');
    return this.kernel.stages.flatMap(({ scalar }) => this.#hoist(scalar, this.context.lanes, computed, isConstant));
  }

  /** Computes the parts of a stage that do not change along some loops. */
  steady({ scalar }: Stage, loops: readonly Variable[], count: Count, computed: Computed): Statement[] {
    const varying = new Set(loops);
    const isSteady = (part: Scalar): boolean =>
      ![...this.#loopsIn(part)].some((one) => varying.has(one)) &&
      ![...allParts(part)].some((inner) => inner.kind === 'stage' && this.#isInnerMap(inner.stage));
    return this.#hoist(scalar, count, computed, isSteady);
  }

  #loopsIn(scalar: Scalar): ReadonlySet<Variable> {
    return loopsOf(scalar, this.#dependsOn);
  }

  #isInnerMap(stage: number): boolean {
    const { kind, over } = this.kernel.stages[stage] as Stage;
    return kind === 'map' && over === 'inner';
  }

  /** Computes the largest parts of a scalar that `isHoisted` accepts. Parts inside a mask stay there. */
  #hoist(scalar: Scalar, count: Count, computed: Computed, isHoisted: (scalar: Scalar) => boolean): Statement[] {
    if (isHoisted(scalar)) return computeScalar(this.context, scalar, count, computed);
    return scalar.kind === 'masked'
      ? []
      : partsOf(scalar).flatMap((part) => this.#hoist(part, count, computed, isHoisted));
  }

  /** Computes the scalar of a stage, and its parts, into locals. */
  compute({ scalar }: Stage, count: Count, computed: Computed): Statement[] {
    return computeScalar(this.context, scalar, count, computed);
  }

  /** Computes the value of a map stage and stores `stored` elements of it. */
  map(index: number, count: Count, computed: Computed, stored: Count | 0 = count): Statement[] {
    const stage = this.kernel.stages[index] as Stage;
    const code = this.compute(stage, count, computed);
    const value = computed.get(stage.scalar) as V128;
    this.stageValues.set(index, value);
    return stored === 0 ? code : [...code, this.store(stage, stored, value)];
  }

  /** Stores `count` elements of a stage's value, if the stage stores any. */
  store(stage: Stage, count: Count, value: V128): Statement {
    if (stage.store === undefined) return [];
    const { context } = this;
    const { dtype } = stage.value;
    const address = i32.add(
      context.address(stage.value),
      i32.mul(positionCode(context, stage.store), i32.const(byteSize[dtype])),
    );
    const stride = strideAlong(stage.store, context.vector);
    if (stride === 1 || count === 1 || stride === 0) return storeLanes(dtype, stride === 0 ? 1 : count, address, value);
    const lane = context.scope.local('v128');
    return this.beside(context.vector, count, 1, (i) => [
      set(lane, context.lanes === 2 && dtype === 'f64' ? pick64(value, i) : pick32(value, i)),
      storeLanes(dtype, 1, address, get(lane)),
    ]);
  }

  /** Code for several places along a loop, `step` apart; afterwards the counter is where it was. */
  beside(loop: Variable, places: number, step: number, code: (place: number) => Statement): Statement {
    const counter = this.counter(loop);
    const each = range(places).map((place) => [place === 0 ? [] : increase(counter, step), code(place)]);
    return [each, places === 1 ? [] : increase(counter, -step * (places - 1))];
  }
}

const pick32 = (x: V128, lane: number): V128 =>
  i8x16.shuffle(
    x,
    x,
    [0, 1, 2, 3].flatMap(() => [0, 1, 2, 3].map((byte) => lane * 4 + byte)),
  );
const pick64 = (x: V128, lane: number): V128 =>
  i8x16.shuffle(
    x,
    x,
    [0, 1].flatMap(() => [0, 1, 2, 3, 4, 5, 6, 7].map((byte) => lane * 8 + byte)),
  );
