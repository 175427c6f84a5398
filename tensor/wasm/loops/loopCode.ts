import type { Scalar } from '../../compiler/kernel.ts';
import type { Variable } from '../../compiler/position.ts';
import { byteSize } from '../../dtype.ts';
import { countUp, forRange, get, increase, int, range, set } from '../assembler/control.ts';
import { i32, type Local, type Statement, type V128 } from '../assembler/instructions.ts';
import type { KernelContext, KernelPhase } from '../kernelPhase.ts';
import { type Count, loadLanes } from '../simd/lanes.ts';
import { transposeLanes } from '../simd/transpose.ts';
import { type LoopPlan, loadsAcross, type MapPlan, placeShares, unitsOf } from './loopPlan.ts';
import { LoopWriter } from './loopWriter.ts';
import { reduceCode } from './reduceCode.ts';
import { Computed, elementAddress, strideAlong } from './scalarCode.ts';
import { type Digit, eachUnit, pieceOf, vectorLoop } from './units.ts';

/** The phases of a loop kernel, and the scratch memory between them. */
export function loopPhases(plan: LoopPlan): { readonly phases: readonly KernelPhase[]; readonly scratchBytes: number } {
  const units = unitsOf(plan);
  if (plan.kind === 'map')
    return { phases: [{ units: units[0] as number, code: (...rest) => mapCode(plan, ...rest) }], scratchBytes: 0 };
  const phases = units.map((count, phase): KernelPhase => {
    const part = units.length === 1 ? 'all' : phase === 0 ? 'share' : 'join';
    return { units: count, code: (...rest) => reduceCode(plan, part, ...rest) };
  });
  return { phases, scratchBytes: placeShares(plan).bytes };
}

function mapCode(plan: MapPlan, context: KernelContext, from: Local<'i32'>, to: Local<'i32'>): Statement {
  const { kernel, lanes, vector, pieces, across } = plan;
  const { scope } = context;
  const writer = new LoopWriter(plan, context);
  const constants = new Computed();
  const prelude = writer.constants(constants);
  const rows = new Computed(constants);
  const steady = kernel.stages.flatMap((stage) => writer.steady(stage, kernel.inner, lanes, rows));
  const line = new Computed(rows);
  const lineLoops = across === undefined ? [vector] : [vector, across.loop];
  const lineSteady = kernel.stages.flatMap((stage) => writer.steady(stage, lineLoops, lanes, line));
  const body = (count: Count, computed = new Computed(line)): Statement =>
    range(kernel.stages.length).map((stage) => writer.map(stage, count, computed));

  const counter = writer.counter(vector);
  const piece = pieceOf(scope, pieces);
  const digits: Digit[] = [
    ...kernel.outer.map((loop) => ({ counter: writer.counter(loop), size: loop.size })),
    { counter: piece.number, size: pieces.count },
  ];
  const start: Statement[] = [piece.start];
  let innermost: Statement;
  if (across === undefined) {
    innermost = vectorLoop(counter, get(piece.high), lanes, body);
  } else {
    const other = writer.counter(across.loop);
    const side = pieceOf(scope, across);
    digits.push({ counter: side.number, size: across.count });
    start.push(side.start);
    innermost = vectorLoop(counter, get(piece.high), lanes, (count) => [
      set(other, get(side.low)),
      count === 1
        ? []
        : countUp(other, i32.sub(get(side.high), int(lanes - 1)), lanes, square(plan, writer, across.loop, line, body)),
      countUp(other, get(side.high), 1, body(count)),
    ]);
  }
  const walk = kernel.inner
    .filter((loop) => loop !== vector && loop !== across?.loop)
    .reduceRight<Statement>(
      (code, loop) => forRange(writer.counter(loop), int(loop.size), 1, code),
      [lineSteady, set(counter, get(piece.low)), innermost],
    );
  return [prelude, eachUnit(scope, from, to, digits, [start, steady, walk])];
}

/**
 * A square: as many vectors as each has lanes, side by side along `across`. Loads that are contiguous along `across` are
 * read in that direction and transposed.
 */
function square(
  { kernel, lanes, vector }: MapPlan,
  writer: LoopWriter,
  across: Variable,
  rows: Computed,
  body: (count: Count, computed: Computed) => Statement,
): Statement {
  const { scope } = writer.context;
  const address = scope.local('i32');
  const loads = new Set(kernel.stages.flatMap(({ scalar }) => loadsAcross(scalar, vector, across)));
  const code: Statement[] = [];
  const transposed = new Map<Scalar, readonly V128[]>();
  for (const load of loads) {
    if (load.kind !== 'load') continue;
    const { from, position } = load;
    const step = (strideAlong(position, vector) as number) * byteSize[from.dtype];
    const [lines, columns] = [range(lanes), range(lanes)].map((list) => list.map(() => scope.local('v128')));
    code.push(
      set(address, elementAddress(writer.context, from, position)),
      (lines as Local<'v128'>[]).map((line, i) => [
        i === 0 ? [] : increase(address, step),
        set(line, loadLanes(from.dtype, lanes, get(address))),
      ]),
      transposeLanes(load.dtype === 'f64', lanes, (lines as Local<'v128'>[]).map(get)).map((column, i) =>
        set(columns?.[i] as Local<'v128'>, column),
      ),
    );
    transposed.set(load, (columns as Local<'v128'>[]).map(get));
  }
  const vectors = writer.beside(across, lanes, 1, (i) => {
    const computed = new Computed(rows);
    for (const [load, columns] of transposed) computed.set(load, columns[i] as V128);
    return body(lanes, computed);
  });
  return [code, vectors];
}
