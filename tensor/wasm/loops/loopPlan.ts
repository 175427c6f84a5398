import { iterations } from '../../compiler/iterations.ts';
import type { LoopKernel, Scalar, Stage } from '../../compiler/kernel.ts';
import { contiguousAlong } from '../../compiler/loops.ts';
import { type Variable, variable } from '../../compiler/position.ts';
import { allParts, partsOf } from '../../compiler/scalars.ts';
import { range } from '../assembler/control.ts';
import { laneDType } from '../simd/lanes.ts';
import { planesOf } from './accumulator.ts';
import { strideAlong } from './scalarCode.ts';

/** A loop cut into `count` pieces of `size` iterations; the last may be shorter. */
export interface Pieces {
  readonly loop: Variable;
  readonly size: number;
  readonly count: number;
}

interface VectorizedKernel {
  readonly kernel: LoopKernel;
  /** 4, or 2 in kernels with f64. */
  readonly lanes: 2 | 4;
  /** The loop along which the lanes of a vector lie. */
  readonly vector: Variable;
}

/** A kernel without reductions. A unit is one piece of the vector loop at one place of the outer loops. */
export interface MapPlan extends VectorizedKernel {
  readonly kind: 'map';
  readonly pieces: Pieces;
  /** A loop along which some loads are contiguous that are strided along the vectors: both loops go by small squares. */
  readonly across: Pieces | undefined;
}

/**
 * A kernel with reductions. Of 'rows', vectors lie along the innermost loop, and a unit is one place of the outer loops.
 * Of 'columns', vectors lie along the last outer loop, where memory is contiguous, and a unit is a piece of that loop.
 */
export interface ReducePlan extends VectorizedKernel {
  readonly kind: 'rows' | 'columns';
  /**
   * Vectors that each walk works on side by side: different columns, the same number in all walks; or parts of one row,
   * whose sums are joined at the end.
   */
  readonly beside: readonly number[];
  readonly columns: Pieces | undefined;
  /** The inner loop cut to share units, if they are few; a second phase joins the partial results of the pieces. */
  readonly shares: Pieces | undefined;
}

export type LoopPlan = MapPlan | ReducePlan;

/** Longest piece of the vector loop, and the longest where the code goes by squares. */
const chunkOfElements = 4096;
const chunkOfSquares = 256;
/** Longest piece of the loop across: so few lines stay in the cache even if all fall in one set. */
const chunkAcross = 8;
/** Elements that a unit of a map should have; with fewer, it takes in another loop. */
const shortUnit = 1024;
/** Columns of a unit: a few cache lines. */
const chunkOfColumns = 64;
/** Units enough to keep the threads of any usual machine evenly busy. */
const enoughUnits = 32;
/** Fewest elements of a share: joining smaller ones costs more than sharing saves. */
const smallShare = 16384;
/** Largest number of scalars in a loop body that is unrolled. */
const fewParts = 12;

/** Cuts a loop into equal pieces of at most `limit` iterations; their size is a multiple of `multiple`. */
function cut(loop: Variable, limit: number, multiple: number): Pieces {
  const count = Math.ceil(loop.size / limit);
  const size = Math.ceil(loop.size / count / multiple) * multiple;
  return { loop, size, count: Math.ceil(loop.size / size) };
}

const hasF64 = ({ stages }: LoopKernel): boolean =>
  stages.some(
    ({ scalar, value }) => value.dtype === 'f64' || [...allParts(scalar)].some(({ dtype }) => dtype === 'f64'),
  );

const isSmallBody = (stages: readonly Stage[]): boolean =>
  new Set(stages.flatMap(({ scalar }) => [...allParts(scalar)])).size <= fewParts;

/** Chooses how a kernel's loops become vectors and units of work. */
export function planLoops(kernel: LoopKernel): LoopPlan {
  const lanes = hasF64(kernel) ? 2 : 4;
  return kernel.stages.some(({ kind }) => kind !== 'map') ? planReduction(kernel, lanes) : planMap(kernel, lanes);
}

function planMap(given: LoopKernel, lanes: 2 | 4): MapPlan {
  const all = [...given.outer, ...given.inner];
  const vector = all.at(-1) ?? variable(1);
  const others = all.slice(0, -1);
  const across =
    vector.size < lanes
      ? undefined
      : loopAcross(
          given,
          vector,
          others.filter(({ size }) => size >= lanes),
        );
  const outer = others.filter((loop) => loop !== across);
  const inner = across === undefined ? [vector] : [across, vector];
  // Short loops become part of a unit as long as enough units remain.
  while (iterations(inner) < shortUnit && iterations(outer.slice(0, -1)) >= enoughUnits)
    inner.unshift(outer.pop() as Variable);
  const kernel = { ...given, outer, inner };
  return {
    kind: 'map',
    kernel,
    lanes,
    vector,
    pieces: cut(vector, across === undefined ? chunkOfElements : chunkOfSquares, lanes),
    across: across && cut(across, chunkAcross, lanes),
  };
}

/** A scalar and its parts, except those inside masks, which are computed conditionally. */
function unmaskedParts(scalar: Scalar, found = new Set<Scalar>()): Set<Scalar> {
  if (scalar.kind !== 'masked') for (const part of partsOf(scalar)) unmaskedParts(part, found);
  return found.add(scalar);
}

/** Loads that are contiguous along `across` but strided along the vectors. */
export const loadsAcross = (scalar: Scalar, vector: Variable, across: Variable): Scalar[] =>
  [...unmaskedParts(scalar)].filter((part) => {
    if (part.kind !== 'load' || strideAlong(part.position, across) !== 1) return false;
    const stride = strideAlong(part.position, vector);
    return stride !== undefined && Math.abs(stride) > 1;
  });

/** The loop along which the largest number of such loads is contiguous. */
function loopAcross({ stages }: LoopKernel, vector: Variable, others: readonly Variable[]): Variable | undefined {
  let best: Variable | undefined;
  let most = 0;
  for (const other of others) {
    const count = new Set(stages.flatMap(({ scalar }) => loadsAcross(scalar, vector, other))).size;
    if (count > most) [best, most] = [other, count];
  }
  return best;
}

function planReduction(given: LoopKernel, lanes: 2 | 4): ReducePlan {
  const kernel = { ...given, inner: given.inner.length === 0 ? [variable(1)] : given.inner };
  const innermost = kernel.inner.at(-1) as Variable;
  const outermost = kernel.outer.at(-1);
  const alongOuter = contiguousAlong(kernel, outermost) > contiguousAlong(kernel, innermost);
  const walks = range(1 + Math.max(...kernel.stages.map(({ pass }) => pass))).map((pass) => stagesOfWalk(kernel, pass));
  if (alongOuter && outermost !== undefined) {
    const columns = cut(outermost, chunkOfColumns, chunkOfColumns);
    const units = iterations(kernel.outer.slice(0, -1)) * columns.count;
    const reductions = kernel.stages.filter(({ kind }) => kind !== 'map').length;
    const together = isSmallBody(kernel.stages) ? Math.max(1, Math.floor(4 / reductions)) : 1;
    const beside = walks.map(() => together);
    return { kind: 'columns', kernel, lanes, vector: outermost, beside, columns, shares: share(kernel, units, 1) };
  }
  // Each addition of a chain waits for the one before; several chains at once keep the processor busy.
  const beside = walks.map((stages) => (isSmallBody(stages) && innermost.size >= 16 * lanes ? 4 : 1));
  const shares = share(kernel, iterations(kernel.outer), (beside[0] as number) * lanes);
  return { kind: 'rows', kernel, lanes, vector: innermost, beside, columns: undefined, shares };
}

/** The stages that the walk of a pass over the inner loops runs. */
export const stagesOfWalk = ({ stages }: LoopKernel, pass: number): Stage[] =>
  stages.filter((stage) => stage.pass === pass && (stage.over === 'inner' || stage.kind !== 'map'));

/** Cuts the longest inner loop if units are few and long. Pieces of the innermost loop are a multiple of `multiple`. */
function share({ outer, inner, stages }: LoopKernel, units: number, multiple: number): Pieces | undefined {
  const isOneWalk = stages.every(({ pass }) => pass <= 0);
  const mostShares = Math.floor((iterations(outer) * iterations(inner)) / units / smallShare);
  if (!isOneWalk || units >= enoughUnits || mostShares < 2) return undefined;
  const loop = inner.reduce((a, b) => (b.size > a.size ? b : a));
  const count = Math.min(Math.ceil(enoughUnits / units), mostShares, loop.size);
  const pieces = cut(loop, Math.ceil(loop.size / count), loop === inner.at(-1) ? multiple : 1);
  return pieces.count > 1 ? pieces : undefined;
}

/** Places in scratch memory for the partial results of shares: the planes of each reduction, and the bytes of all. */
export function placeShares({ kind, kernel, lanes, shares }: ReducePlan): {
  readonly planes: ReadonlyMap<Stage, readonly { readonly offset: number; readonly bytes: number }[]>;
  readonly bytes: number;
} {
  const places = (shares?.count ?? 0) * iterations(kernel.outer) * (kind === 'rows' ? lanes : 1);
  let end = 0;
  const planes = new Map(
    kernel.stages.flatMap((stage) => {
      if (stage.kind === 'map') return [];
      const list = planesOf(stage.kind, laneDType(stage.value.dtype)).map((bytes) => {
        const plane = { offset: end, bytes };
        end += Math.ceil((places * bytes) / 16) * 16;
        return plane;
      });
      return [[stage, list]];
    }),
  );
  return { planes, bytes: end };
}

/** The number of units of each phase. */
export function unitsOf(plan: LoopPlan): readonly number[] {
  const outer = iterations(plan.kernel.outer);
  if (plan.kind === 'map') return [outer * plan.pieces.count * (plan.across?.count ?? 1)];
  const { columns, shares } = plan;
  const units = columns === undefined ? outer : iterations(plan.kernel.outer.slice(0, -1)) * columns.count;
  return shares === undefined ? [units] : [units * shares.count, units];
}
