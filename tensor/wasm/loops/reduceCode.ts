import type { Stage } from '../../compiler/kernel.ts';
import { at, flatten, type Variable } from '../../compiler/position.ts';
import { isHalf } from '../../dtype.ts';
import { stridesOf } from '../../shape.ts';
import { countUp, forRange, get, int, product, range, set, sum } from '../assembler/control.ts';
import { type I32, i32, type Local, type Statement, type V128 } from '../assembler/instructions.ts';
import type { KernelContext } from '../kernelPhase.ts';
import { type Count, laneDType, roundToHalf } from '../simd/lanes.ts';
import { Accumulator } from './accumulator.ts';
import { placeShares, type ReducePlan, stagesOfWalk } from './loopPlan.ts';
import { LoopWriter, type Made } from './loopWriter.ts';
import { Computed, positionCode } from './scalarCode.ts';
import { eachUnit, pieceOf, vectorLoop } from './units.ts';

/** One of the vectors that are worked on beside each other. */
interface Block {
  readonly rows: Computed;
  readonly made: Made;
}

/**
 * The body of a function that does units [from, to) of a kernel with reductions: all of it, or where units are shared,
 * the shares, or what joins them and follows. How a reduction is shared depends on its shape alone.
 */
export function reduceCode(
  plan: ReducePlan,
  part: 'all' | 'share' | 'join',
  context: KernelContext,
  from: Local<'i32'>,
  to: Local<'i32'>,
): Statement {
  const { kernel, kind, lanes, vector, columns, shares, beside } = plan;
  const { scope } = context;
  const writer = new LoopWriter(plan, context);
  const constants = new Computed();
  const prelude = writer.constants(constants);
  const share = part === 'share' && shares !== undefined ? pieceOf(scope, shares) : undefined;
  const { planes } = placeShares(plan);
  const outerShape = kernel.outer.map(({ size }) => size);
  const place = flatten(kernel.outer.map(at), stridesOf(outerShape));
  const places = outerShape.reduce((a, b) => a * b, 1);
  const width = kind === 'rows' ? lanes : 1;

  /** Where a reduction keeps what share number `number` of the present place comes to. */
  const addresses = (stage: Stage, number: I32): I32[] =>
    (planes.get(stage) ?? []).map(({ offset, bytes }) => {
      const index = i32.add(product(number, int(places)), positionCode(writer.context, place));
      return sum(context.scratch, int(offset), product(index, int(width * bytes)));
    });

  /** The code for every block, with the vectors' loop where the block is. */
  const each = (blocks: readonly Block[], code: (block: Block, i: number) => Statement): Statement =>
    writer.beside(vector, blocks.length, lanes, (i) => {
      const block = blocks[i] as Block;
      writer.made = block.made;
      return code(block, i);
    });

  /** One walk over the inner loops. */
  const walk = (pass: number, blocks: readonly Block[], outerCount: Count): Statement => {
    const stages = stagesOfWalk(kernel, pass).map((stage) => ({ stage, index: kernel.stages.indexOf(stage) }));
    if (stages.length === 0) return [];
    const chains = kind === 'rows' ? (beside[pass] as number) : blocks.length;
    const accumulators = new Map(
      stages.flatMap(({ stage, index }) => {
        const { kind: reduction } = stage;
        if (reduction === 'map') return [];
        const dtype = laneDType(stage.value.dtype);
        const own = range(chains).map(() => new Accumulator(scope, reduction, dtype, lanes, kind === 'columns'));
        return [[index, own]];
      }),
    );
    const accumulator = (index: number, chain: number): Accumulator => accumulators.get(index)?.[chain] as Accumulator;
    const reductions = stages.filter(({ stage }) => stage.kind !== 'map');

    const body = (known: Computed, count: Count, chain: number): Statement => {
      const computed = new Computed(known);
      return stages.map(({ stage, index }) => {
        if (stage.kind === 'map') return writer.map(index, count, computed);
        const code = writer.compute(stage, count, computed);
        return [code, accumulator(index, chain).add(computed.get(stage.scalar) as V128, count)];
      });
    };

    const last = kernel.inner.at(-1) as Variable;
    const endOf = (loop: Variable): I32 =>
      share !== undefined && loop === shares?.loop ? get(share.high) : int(loop.size);
    const begin = (loop: Variable): Statement =>
      set(writer.counter(loop), share !== undefined && loop === shares?.loop ? get(share.low) : int(0));
    const innermost = (): Statement => {
      const counter = writer.counter(last);
      if (kind === 'columns') {
        return countUp(
          counter,
          endOf(last),
          1,
          each(blocks, ({ rows }, i) => body(rows, outerCount, i)),
        );
      }
      const [{ rows, made }] = blocks as readonly [Block];
      writer.made = made;
      const line = new Computed(rows);
      const many = lanes * chains;
      return [
        stages.map(({ stage }) => writer.steady(stage, [last], lanes, line)),
        chains === 1
          ? []
          : countUp(
              counter,
              i32.sub(endOf(last), int(many - 1)),
              many,
              writer.beside(last, chains, lanes, (chain) => body(line, lanes, chain)),
            ),
        vectorLoop(counter, endOf(last), lanes, (count) => body(line, count, 0)),
      ];
    };
    const nest = kernel.inner
      .slice(0, -1)
      .reduceRight<Statement>(
        (code, loop) => [begin(loop), countUp(writer.counter(loop), endOf(loop), 1, code)],
        [begin(last), innermost()],
      );
    const joined = reductions.map(({ stage, index }) =>
      forRange(
        number,
        int(shares?.count ?? 0),
        1,
        each(blocks, (_, i) => accumulator(index, i).addSaved(addresses(stage, get(number)), stateCount(outerCount))),
      ),
    );
    return [
      part === 'join'
        ? []
        : each(blocks, ({ rows }) => stages.map(({ stage }) => writer.steady(stage, kernel.inner, outerCount, rows))),
      reductions.map(({ index }) => (accumulators.get(index) ?? []).map((one) => one.start())),
      part === 'join' ? joined : nest,
      kind === 'columns' || part === 'join'
        ? []
        : reductions.map(({ index }) =>
            (accumulators.get(index) ?? []).slice(1).map((one) => accumulator(index, 0).addAll(one)),
          ),
      each(blocks, ({ made }, i) =>
        reductions.map(({ stage, index }) => {
          if (share !== undefined)
            return accumulator(index, i).save(addresses(stage, get(share.number)), stateCount(outerCount));
          const { code, value } = accumulator(index, i).result();
          const { dtype } = stage.value;
          const rounded = scope.local('v128');
          made.set(index, get(rounded));
          return [
            code,
            set(rounded, value),
            isHalf(dtype) ? set(rounded, roundToHalf(dtype, get(rounded))) : [],
            writer.store(stage, kind === 'columns' ? outerCount : 1, get(rounded)),
          ];
        }),
      ),
    ];
  };
  const number = scope.local('i32');
  /** Elements that an accumulator keeps: those of a row are one vector to the end. */
  const stateCount = (count: Count): Count => (kind === 'rows' ? lanes : count);

  /** Everything for one place of the outer loops, or for as many as blocks have lanes. */
  const row = (blockCount: number, count: Count): Statement => {
    const blocks = range(blockCount).map((): Block => ({ rows: new Computed(constants), made: new Map() }));
    const lastPass = Math.max(...kernel.stages.map(({ pass }) => pass));
    const maps = (pass: number): Statement =>
      each(blocks, ({ rows }) =>
        kernel.stages.map((stage, index) =>
          stage.pass === pass && stage.kind === 'map' && stage.over === 'outer'
            ? writer.map(index, count, rows, part === 'share' ? 0 : kind === 'rows' ? 1 : count)
            : [],
        ),
      );
    if (part === 'share') return [maps(-1), walk(0, blocks, count)];
    return [maps(-1), range(lastPass + 1).map((pass) => [walk(pass, blocks, count), maps(pass)])];
  };

  const digits = kernel.outer
    .filter((loop) => loop !== columns?.loop)
    .map((loop) => ({ counter: writer.counter(loop), size: loop.size }));
  const start: Statement[] = [];
  let unit: Statement;
  if (columns === undefined) {
    unit = row(1, lanes);
  } else {
    const counter = writer.counter(vector);
    const piece = pieceOf(scope, columns);
    digits.push({ counter: piece.number, size: columns.count });
    start.push(piece.start, set(counter, get(piece.low)));
    const [together] = beside as readonly [number, ...number[]];
    const many = together * lanes;
    unit = [
      together === 1 ? [] : countUp(counter, i32.sub(get(piece.high), int(many - 1)), many, row(together, lanes)),
      vectorLoop(counter, get(piece.high), lanes, (count) => row(1, count)),
    ];
  }
  if (share !== undefined && shares !== undefined) {
    digits.push({ counter: share.number, size: shares.count });
    start.push(share.start);
  }
  return [prelude, eachUnit(scope, from, to, digits, [start, unit])];
}
