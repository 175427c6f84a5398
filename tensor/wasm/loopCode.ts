import type { LoopKernel, Scalar, Stage } from '../compiler/kernel.ts';
import { contiguousAlong } from '../compiler/loops.ts';
import { type Variable, variable } from '../compiler/position.ts';
import { allParts, partsOf } from '../compiler/scalars.ts';
import { byteSize, isHalf } from '../dtype.ts';
import { Accumulator } from './accumulator.ts';
import { countUp, minimum } from './control.ts';
import { i8x16, i32, type Local, local, type Statement, type V128 } from './instructions.ts';
import { type Count, laneDType, roundToHalf, storeLanes } from './lanes.ts';
import { Computed, computeScalar, type KernelContext, loopsOf, positionCode, strideAlong } from './scalarCode.ts';

/** How a kernel's work is cut: a call does the units from one number up to another. */
export interface LoopPlan {
  readonly kernel: LoopKernel;
  readonly lanes: 2 | 4;
  /** The loop along which vectors lie: the innermost walk, or where memory is contiguous there, the last outer loop. */
  readonly vector: Variable;
  readonly alongOuter: boolean;
  /** Elements of the vector loop that one unit covers, where units cut that loop. */
  readonly chunk: number | undefined;
  readonly units: number;
}

/** Elements of a single long loop that make one unit of work. */
const chunkOfElements = 4096;
/** Columns that one unit of a reduction along the outer loop covers: a few cache lines. */
const chunkOfColumns = 64;

const product = (loops: readonly Variable[]): number => loops.reduce((total, { size }) => total * size, 1);

/** Chooses how a kernel's loops become vectors and units of work. */
export function planLoops(given: LoopKernel): LoopPlan {
  const reduces = given.stages.some(({ kind }) => kind !== 'map');
  const all = [...given.outer, ...given.inner];
  const last = all.at(-1) ?? variable(1);
  const kernel = reduces
    ? { ...given, inner: given.inner.length === 0 ? [variable(1)] : given.inner }
    : { ...given, outer: all.slice(0, -1), inner: [last] };
  const wide = kernel.stages.some(
    ({ scalar, value }) => value.dtype === 'f64' || [...allParts(scalar)].some(({ dtype }) => dtype === 'f64'),
  );
  const lanes = wide ? 2 : 4;
  const innermost = kernel.inner.at(-1) as Variable;
  const outermost = kernel.outer.at(-1);
  const alongOuter = reduces && contiguousAlong(kernel, outermost) > contiguousAlong(kernel, innermost);
  if (alongOuter && outermost !== undefined) {
    const columns = Math.ceil(outermost.size / chunkOfColumns);
    return {
      kernel,
      lanes,
      vector: outermost,
      alongOuter,
      chunk: chunkOfColumns,
      units: product(kernel.outer.slice(0, -1)) * columns,
    };
  }
  if (!reduces && kernel.outer.length === 0) {
    const units = Math.ceil(innermost.size / chunkOfElements);
    return { kernel, lanes, vector: innermost, alongOuter: false, chunk: chunkOfElements, units };
  }
  return { kernel, lanes, vector: innermost, alongOuter: false, chunk: undefined, units: product(kernel.outer) };
}

type Base = Pick<KernelContext, 'scope' | 'address' | 'argument' | 'reportIndex'>;

/** The body of a function that does units [from, to) of a kernel. */
export function loopCode(plan: LoopPlan, base: Base, from: Local<'i32'>, to: Local<'i32'>): Statement {
  const { kernel, lanes, vector, alongOuter, chunk } = plan;
  const { scope } = base;
  const loops = new Map([...kernel.outer, ...kernel.inner].map((one) => [one, scope.local('i32')]));
  const made = new Map<number, V128>();
  const context: KernelContext = {
    ...base,
    lanes,
    vector,
    loops,
    stage: (stage) => made.get(stage) as V128,
  };
  const counter = (one: Variable): Local<'i32'> => loops.get(one) as Local<'i32'>;
  const inner = new Set(kernel.inner);
  const dependsOn = new Map<Scalar, ReadonlySet<Variable>>();
  const loopsUsed = (scalar: Scalar) => loopsOf(scalar, dependsOn);

  /** Whether a scalar is the same for a whole walk over the inner loops. */
  const isSteady = (scalar: Scalar): boolean =>
    ![...loopsUsed(scalar)].some((one) => inner.has(one)) &&
    ![...allParts(scalar)].some((part) => part.kind === 'stage' && isInnerMap(kernel.stages[part.stage] as Stage));
  const isConstant = (scalar: Scalar): boolean =>
    loopsUsed(scalar).size === 0 &&
    ![...allParts(scalar)].some((part) => part.kind !== 'argument' && part.kind !== 'literal' && part.kind !== 'apply');

  /** Computes what it can of a scalar now. */
  const hoist = (scalar: Scalar, count: Count, computed: Computed, now: (scalar: Scalar) => boolean): Statement[] => {
    if (now(scalar)) return computeScalar(context, scalar, count, computed);
    return scalar.kind === 'masked' ? [] : partsOf(scalar).flatMap((part) => hoist(part, count, computed, now));
  };

  const store = (stage: Stage, count: Count, value: V128): Statement => {
    if (stage.store === undefined) return [];
    const { dtype } = stage.value;
    const address = i32.add(
      base.address(stage.value),
      i32.mul(positionCode(context, stage.store), i32.const(byteSize[dtype])),
    );
    const stride = strideAlong(stage.store, vector);
    if (stride === 1 || count === 1 || stride === 0) return storeLanes(dtype, stride === 0 ? 1 : count, address, value);
    const step = counter(vector);
    const lane = scope.local('v128');
    return Array.from({ length: count }, (_, i) => [
      local.set(lane, lanes === 2 && dtype === 'f64' ? pick64(value, i) : pick32(value, i)),
      storeLanes(dtype, 1, address, local.get(lane)),
      local.set(step, i32.add(local.get(step), i32.const(i + 1 < count ? 1 : 1 - count))),
    ]);
  };

  /** One walk over the inner loops. */
  const walk = (pass: number, rows: Computed, outerCount: Count): Statement[] => {
    const stages = kernel.stages
      .map((stage, index) => ({ stage, index }))
      .filter(({ stage }) => stage.pass === pass && (stage.over === 'inner' || stage.kind !== 'map'));
    if (stages.length === 0) return [];
    const accumulators = new Map(
      stages.flatMap(({ stage, index }) =>
        stage.kind === 'map'
          ? []
          : [[index, new Accumulator(scope, stage.kind, laneDType(stage.value.dtype), lanes, alongOuter)]],
      ),
    );
    const body = (count: Count): Statement[] => {
      const computed = new Computed(rows);
      return stages.flatMap(({ stage, index }) => {
        const code = computeScalar(context, stage.scalar, count, computed);
        const value = computed.get(stage.scalar) as V128;
        const accumulator = accumulators.get(index);
        if (accumulator !== undefined) return [...code, accumulator.add(value, count)];
        made.set(index, value);
        return [...code, store(stage, count, value)];
      });
    };
    const hoisted = stages.flatMap(({ stage }) => hoist(stage.scalar, outerCount, rows, isSteady));
    const last = kernel.inner.at(-1) as Variable;
    const innermost = alongOuter
      ? countUp(counter(last), i32.const(last.size), 1, ...body(outerCount))
      : vectorLoop(scope, counter(last), i32.const(last.size), lanes, body);
    const nest = kernel.inner
      .slice(0, -1)
      .reduceRight<Statement>(
        (code, one) => [local.set(counter(one), i32.const(0)), countUp(counter(one), i32.const(one.size), 1, code)],
        [local.set(counter(last), i32.const(0)), innermost],
      );
    const results = [...accumulators].map(([index, accumulator]) => {
      const stage = kernel.stages[index] as Stage;
      const { code, value } = accumulator.result();
      const rounded = scope.local('v128');
      made.set(index, local.get(rounded));
      const { dtype } = stage.value;
      return [
        code,
        local.set(rounded, value),
        isHalf(dtype) ? local.set(rounded, roundToHalf(dtype, local.get(rounded))) : [],
        store(stage, alongOuter ? outerCount : 1, local.get(rounded)),
      ];
    });
    return [...hoisted, ...[...accumulators.values()].map((accumulator) => accumulator.start()), nest, ...results];
  };

  /** Everything for one place of the outer loops (or as many as a vector has lanes). */
  const row = (constants: Computed, count: Count): Statement[] => {
    const rows = new Computed(constants);
    const code: Statement[] = [];
    const last = Math.max(...kernel.stages.map(({ pass }) => pass));
    for (let pass = -1; pass <= last; pass++) {
      if (pass >= 0) code.push(...walk(pass, rows, count));
      kernel.stages.forEach((stage, index) => {
        if (stage.pass !== pass || stage.kind !== 'map' || stage.over !== 'outer') return;
        code.push(...computeScalar(context, stage.scalar, count, rows));
        made.set(index, rows.get(stage.scalar) as V128);
        code.push(store(stage, alongOuter ? count : 1, rows.get(stage.scalar) as V128));
      });
    }
    return code;
  };

  const constants = new Computed();
  const prelude = kernel.stages.flatMap(({ scalar }) => hoist(scalar, lanes, constants, isConstant));

  if (chunk !== undefined && !alongOuter) {
    // One long loop: units are pieces of it.
    const end = scope.local('i32');
    const stages = kernel.stages.map((stage, index) => ({ stage, index }));
    const rows = new Computed(constants);
    const hoisted = stages.flatMap(({ stage }) => hoist(stage.scalar, lanes, rows, isSteady));
    const body = (count: Count): Statement[] => {
      const computed = new Computed(rows);
      return stages.flatMap(({ stage, index }) => {
        const code = computeScalar(context, stage.scalar, count, computed);
        made.set(index, computed.get(stage.scalar) as V128);
        return [...code, store(stage, count, computed.get(stage.scalar) as V128)];
      });
    };
    return [
      prelude,
      hoisted,
      local.set(counter(vector), i32.mul(local.get(from), i32.const(chunk))),
      local.set(end, minimum(i32.mul(local.get(to), i32.const(chunk)), i32.const(vector.size))),
      vectorLoop(scope, counter(vector), local.get(end), lanes, body),
    ];
  }

  const unit = scope.local('i32');
  if (alongOuter && chunk !== undefined) {
    const others = kernel.outer.slice(0, -1);
    const columns = Math.ceil(vector.size / chunk);
    const end = scope.local('i32');
    return [
      prelude,
      local.set(unit, local.get(from)),
      countUp(
        unit,
        local.get(to),
        1,
        ...decode(unit, others, counter, columns),
        local.set(counter(vector), i32.mul(i32.remU(local.get(unit), i32.const(columns)), i32.const(chunk))),
        local.set(end, minimum(i32.add(local.get(counter(vector)), i32.const(chunk)), i32.const(vector.size))),
        vectorLoop(scope, counter(vector), local.get(end), lanes, (count) => row(constants, count)),
      ),
    ];
  }
  return [
    prelude,
    local.set(unit, local.get(from)),
    countUp(unit, local.get(to), 1, ...decode(unit, kernel.outer, counter, 1), ...row(constants, lanes)),
  ];
}

const isInnerMap = ({ kind, over }: Stage): boolean => kind === 'map' && over === 'inner';

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

/** Sets the outer loops to what a unit's number stands for; `inner` numbers share the same outer place. */
function decode(
  unit: Local<'i32'>,
  loops: readonly Variable[],
  counter: (one: Variable) => Local<'i32'>,
  inner: number,
): Statement[] {
  let stride = inner;
  return loops
    .slice()
    .reverse()
    .map((one, i) => {
      const quotient = stride === 1 ? local.get(unit) : i32.divU(local.get(unit), i32.const(stride));
      stride *= one.size;
      return local.set(counter(one), i === loops.length - 1 ? quotient : i32.remU(quotient, i32.const(one.size)));
    });
}

/** Steps by whole vectors while they fit, then one by one. */
function vectorLoop(
  scope: KernelContext['scope'],
  counter: Local<'i32'>,
  end: Statement,
  lanes: 2 | 4,
  body: (count: Count) => Statement[],
): Statement {
  const whole = scope.local('i32');
  return [
    // The last place from which a whole vector fits, plus one.
    local.set(whole, i32.sub(end, i32.const(lanes - 1))),
    countUp(counter, local.get(whole), lanes, ...body(lanes)),
    countUp(counter, end, 1, ...body(1)),
  ];
}
