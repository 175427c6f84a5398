import { iterations } from '../../compiler/iterations.ts';
import type { LoopKernel, Scalar, Stage } from '../../compiler/kernel.ts';
import { contiguousAlong } from '../../compiler/loops.ts';
import { type Variable, variable } from '../../compiler/position.ts';
import { allParts, partsOf } from '../../compiler/scalars.ts';
import { range } from '../assembler/control.ts';
import { laneDType } from '../simd/lanes.ts';
import { planesOf } from './accumulator.ts';
import { strideAlong } from './scalarCode.ts';

/** How a loop is cut into pieces: `count` of them, each `size` long but for the last. */
export interface Pieces {
  readonly loop: Variable;
  readonly size: number;
  readonly count: number;
}

interface Plan {
  readonly kernel: LoopKernel;
  readonly lanes: 2 | 4;
  /** The loop along which vectors lie. */
  readonly vector: Variable;
}

/** No reduction: a unit is a piece of the last loop, for one place of the loops around it. */
export interface MapPlan extends Plan {
  readonly kind: 'map';
  readonly pieces: Pieces;
  /** A loop along which loads are contiguous that are not so along the vectors: both are walked in small squares. */
  readonly across: Pieces | undefined;
}

/**
 * Reductions. Vectors lie along the innermost loop, and a unit is one place of the outer loops; or where memory is
 * contiguous there, they lie along the last outer loop, and a unit is a piece of that.
 */
export interface ReducePlan extends Plan {
  readonly kind: 'rows' | 'columns';
  /**
   * Vectors that each walk takes beside each other: of different columns, as many in all walks, or of one row, to be
   * joined in the end.
   */
  readonly beside: readonly number[];
  readonly columns: Pieces | undefined;
  /** Where there are few units, each is shared: an inner loop is cut, and the results of its pieces are joined after. */
  readonly shares: Pieces | undefined;
}

export type LoopPlan = MapPlan | ReducePlan;

/** Elements of a long last loop that make a unit, and of one walked in squares. */
const chunkOfElements = 4096;
const chunkOfSquares = 256;
/** Lines that squares are read from and written to: so few that they stay in a cache even where all fall in one set. */
const chunkAcross = 8;
/** Elements up to which a unit of a map takes in another loop. */
const shortUnit = 1024;
/** Columns that one unit of a reduction along the outer loop covers: a few cache lines. */
const chunkOfColumns = 64;
/** With as many units, any number of threads that a machine is likely to have shares the work evenly. */
const enoughUnits = 32;
/** Elements below which a share of a reduction is not worth its while. */
const smallShare = 16384;
/** Parts of expressions up to which code is written several times over. */
const fewParts = 12;

/** Equal pieces of at most `most`, their size a multiple of `multiple`. */
function cut(loop: Variable, most: number, multiple: number): Pieces {
  const wanted = Math.ceil(loop.size / most);
  const size = Math.ceil(loop.size / wanted / multiple) * multiple;
  return { loop, size, count: Math.ceil(loop.size / size) };
}

const isWide = ({ stages }: LoopKernel): boolean =>
  stages.some(
    ({ scalar, value }) => value.dtype === 'f64' || [...allParts(scalar)].some(({ dtype }) => dtype === 'f64'),
  );

const hasFewParts = (stages: readonly Stage[]): boolean =>
  new Set(stages.flatMap(({ scalar }) => [...allParts(scalar)])).size <= fewParts;

/** Chooses how a kernel's loops become vectors and units of work. */
export function planLoops(kernel: LoopKernel): LoopPlan {
  const lanes = isWide(kernel) ? 2 : 4;
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
  // Short loops are part of a unit, as long as there are enough units.
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

/** A scalar and what it is made of that is computed in any case. */
function unmaskedParts(scalar: Scalar, found = new Set<Scalar>()): Set<Scalar> {
  if (scalar.kind !== 'masked') for (const part of partsOf(scalar)) unmaskedParts(part, found);
  return found.add(scalar);
}

/** Loads that are contiguous along another loop than the vectors', and not worth less than a load by lanes. */
export const loadsAcross = (scalar: Scalar, vector: Variable, across: Variable): Scalar[] =>
  [...unmaskedParts(scalar)].filter((part) => {
    if (part.kind !== 'load' || strideAlong(part.position, across) !== 1) return false;
    const stride = strideAlong(part.position, vector);
    return stride !== undefined && Math.abs(stride) > 1;
  });

/** The loop along which most of such loads are contiguous. */
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
    const together = hasFewParts(kernel.stages) ? Math.max(1, Math.floor(4 / reductions)) : 1;
    const beside = walks.map(() => together);
    return { kind: 'columns', kernel, lanes, vector: outermost, beside, columns, shares: share(kernel, units, 1) };
  }
  // Adding up is a chain in which each waits for the one before; several chains at once keep the processor busy.
  const beside = walks.map((stages) => (hasFewParts(stages) && innermost.size >= 16 * lanes ? 4 : 1));
  const shares = share(kernel, iterations(kernel.outer), (beside[0] as number) * lanes);
  return { kind: 'rows', kernel, lanes, vector: innermost, beside, columns: undefined, shares };
}

/** The stages that a walk over the inner loops runs. */
export const stagesOfWalk = ({ stages }: LoopKernel, pass: number): Stage[] =>
  stages.filter((stage) => stage.pass === pass && (stage.over === 'inner' || stage.kind !== 'map'));

/** Cuts the longest inner loop where units are few and long. `multiple`: of pieces of the innermost loop. */
function share({ outer, inner, stages }: LoopKernel, units: number, multiple: number): Pieces | undefined {
  const isOneWalk = stages.every(({ pass }) => pass <= 0);
  const most = Math.floor((iterations(outer) * iterations(inner)) / units / smallShare);
  if (!isOneWalk || units >= enoughUnits || most < 2) return undefined;
  const loop = inner.reduce((a, b) => (b.size > a.size ? b : a));
  const wanted = Math.min(Math.ceil(enoughUnits / units), most, loop.size);
  const pieces = cut(loop, Math.ceil(loop.size / wanted), loop === inner.at(-1) ? multiple : 1);
  return pieces.count > 1 ? pieces : undefined;
}

/** Where the shares of reductions are kept until they are joined: offsets of the planes of each, and the bytes of all. */
export function placeShares({ kind, kernel, lanes, shares }: ReducePlan): {
  readonly planes: ReadonlyMap<Stage, readonly { readonly offset: number; readonly bytes: number }[]>;
  readonly bytes: number;
} {
  const places = (shares?.count ?? 0) * iterations(kernel.outer) * (kind === 'rows' ? lanes : 1);
  let end = 0;
  const planes = new Map(
    kernel.stages.flatMap((stage) => {
      if (stage.kind === 'map') return [];
      const own = planesOf(stage.kind, laneDType(stage.value.dtype)).map((bytes) => {
        const plane = { offset: end, bytes };
        end += Math.ceil((places * bytes) / 16) * 16;
        return plane;
      });
      return [[stage, own]];
    }),
  );
  return { planes, bytes: end };
}

/** Units of a plan: pieces of work that threads claim, in the phases that follow each other. */
export function unitsOf(plan: LoopPlan): readonly number[] {
  const outer = iterations(plan.kernel.outer);
  if (plan.kind === 'map') return [outer * plan.pieces.count * (plan.across?.count ?? 1)];
  const { columns, shares } = plan;
  const units = columns === undefined ? outer : iterations(plan.kernel.outer.slice(0, -1)) * columns.count;
  return shares === undefined ? [units] : [units * shares.count, units];
}
