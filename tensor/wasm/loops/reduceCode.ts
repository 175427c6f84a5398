import { countUp, get, int, range, set } from '../assembler/control.ts';
import { i32, type Local, type Statement } from '../assembler/instructions.ts';
import type { KernelContext } from '../kernelPhase.ts';
import type { Count } from '../simd/lanes.ts';
import type { ReducePlan } from './loopPlan.ts';
import { LoopWriter } from './loopWriter.ts';
import { type Block, type ReducePart, ReductionWriter } from './reductionWriter.ts';
import { Computed } from './scalarCode.ts';
import { type Digit, eachUnit, pieceOf, vectorLoop } from './units.ts';

/** The body of a function that does units [from, to) of a kernel with reductions, or a part of each. */
export function reduceCode(
  plan: ReducePlan,
  part: ReducePart,
  context: KernelContext,
  from: Local<'i32'>,
  to: Local<'i32'>,
): Statement {
  const { kernel, kind, lanes, vector, columns, shares, beside } = plan;
  const { scope } = context;
  const loops = new LoopWriter(plan, context);
  const constants = new Computed();
  const prelude = loops.constants(constants);
  const writer = new ReductionWriter(plan, part, loops);
  const { share } = writer;

  /** Everything for one place of the outer loops or, down columns, for as many as the blocks have lanes. */
  const results = (blockCount: number, count: Count): Statement => {
    const blocks = range(blockCount).map((): Block => ({ computed: new Computed(constants), stageValues: new Map() }));
    const lastPass = Math.max(...kernel.stages.map(({ pass }) => pass));
    const maps = (pass: number): Statement =>
      writer.eachBlock(blocks, ({ computed }) =>
        kernel.stages.map((stage, index) =>
          stage.pass === pass && stage.kind === 'map' && stage.over === 'outer'
            ? loops.map(index, count, computed, part === 'share' ? 0 : kind === 'rows' ? 1 : count)
            : [],
        ),
      );
    if (part === 'share') return [maps(-1), writer.walk(0, blocks, count)];
    return [maps(-1), range(lastPass + 1).map((pass) => [writer.walk(pass, blocks, count), maps(pass)])];
  };

  const digits: Digit[] = kernel.outer
    .filter((loop) => loop !== columns?.loop)
    .map((loop) => ({ counter: loops.counter(loop), size: loop.size }));
  const start: Statement[] = [];
  let unit: Statement;
  if (columns === undefined) {
    unit = results(1, lanes);
  } else {
    const counter = loops.counter(vector);
    const piece = pieceOf(scope, columns);
    digits.push({ counter: piece.number, size: columns.count });
    start.push(piece.start, set(counter, get(piece.low)));
    const [blockCount] = beside as readonly [number, ...number[]];
    const width = blockCount * lanes;
    unit = [
      blockCount === 1
        ? []
        : countUp(counter, i32.sub(get(piece.high), int(width - 1)), width, results(blockCount, lanes)),
      vectorLoop(counter, get(piece.high), lanes, (count) => results(1, count)),
    ];
  }
  if (share !== undefined && shares !== undefined) {
    digits.push({ counter: share.number, size: shares.count });
    start.push(share.start);
  }
  return [prelude, eachUnit(scope, from, to, digits, [start, unit])];
}
