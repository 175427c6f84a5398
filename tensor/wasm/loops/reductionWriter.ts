import type { Stage } from '../../compiler/kernel.ts';
import { at, flatten, type Variable } from '../../compiler/position.ts';
import { isHalf } from '../../dtype.ts';
import { stridesOf } from '../../shape.ts';
import { countUp, forRange, get, int, product, range, set, sum } from '../assembler/control.ts';
import { type I32, i32, type Local, type Statement, type V128 } from '../assembler/instructions.ts';
import { type Count, laneDType, roundToHalf } from '../simd/lanes.ts';
import { Accumulator } from './accumulator.ts';
import { placeShares, type ReducePlan, stagesOfWalk } from './loopPlan.ts';
import type { LoopWriter, StageValues } from './loopWriter.ts';
import { Computed, positionCode } from './scalarCode.ts';
import { pieceOf, vectorLoop } from './units.ts';

/**
 * What a function does of a kernel with reductions: all of it; or, where units are shared, one share of each reduction,
 * whose partial results it saves; or the rest, which joins the shares first.
 */
export type ReducePart = 'all' | 'share' | 'join';

/** One of the vectors of results that a walk works on side by side. */
export interface Block {
  readonly computed: Computed;
  readonly stageValues: StageValues;
}

interface NumberedStage {
  readonly stage: Stage;
  readonly index: number;
}

/** The accumulators of each reduction, by the number of its stage: one for each chain of additions. */
type Accumulators = ReadonlyMap<number, readonly Accumulator[]>;

/** Writes the walks over the inner loops that compute reductions. */
export class ReductionWriter {
  /** The piece of the shared loop that a unit does, in the part 'share'. */
  readonly share: ReturnType<typeof pieceOf> | undefined;
  readonly #plan: ReducePlan;
  readonly #part: ReducePart;
  readonly #loops: LoopWriter;
  /** Counts the shares that are joined. */
  readonly #number: Local<'i32'>;

  constructor(plan: ReducePlan, part: ReducePart, loops: LoopWriter) {
    const { scope } = loops.context;
    this.#plan = plan;
    this.#part = part;
    this.#loops = loops;
    this.share = part === 'share' && plan.shares !== undefined ? pieceOf(scope, plan.shares) : undefined;
    this.#number = scope.local('i32');
  }

  /** The code for every block, with the counter of the vector loop moved to the block. */
  eachBlock(blocks: readonly Block[], code: (block: Block, i: number) => Statement): Statement {
    const { vector, lanes } = this.#plan;
    return this.#loops.beside(vector, blocks.length, lanes, (i) => {
      const block = blocks[i] as Block;
      this.#loops.stageValues = block.stageValues;
      return code(block, i);
    });
  }

  /** One walk over the inner loops, which runs the stages of a pass. */
  walk(pass: number, blocks: readonly Block[], count: Count): Statement {
    const { kernel, kind, beside } = this.#plan;
    const stages = stagesOfWalk(kernel, pass).map((stage) => ({ stage, index: kernel.stages.indexOf(stage) }));
    if (stages.length === 0) return [];
    const chains = kind === 'rows' ? (beside[pass] as number) : blocks.length;
    const accumulators = this.#accumulators(stages, chains);
    const reductions = stages.filter(({ stage }) => stage.kind !== 'map');
    const chainsOf = ({ index }: NumberedStage): readonly Accumulator[] => accumulators.get(index) ?? [];
    const first = (reduction: NumberedStage): Accumulator => chainsOf(reduction)[0] as Accumulator;

    const nest = this.#nest(stages, accumulators, chains, blocks, count);
    const joins = this.#part === 'join';
    return [
      joins
        ? []
        : this.eachBlock(blocks, ({ computed }) =>
            stages.map(({ stage }) => this.#loops.steady(stage, kernel.inner, count, computed)),
          ),
      reductions.map((reduction) => chainsOf(reduction).map((chain) => chain.start())),
      joins ? this.#joinShares(reductions, accumulators, blocks, count) : nest,
      kind === 'columns' || joins
        ? []
        : reductions.map((reduction) =>
            chainsOf(reduction)
              .slice(1)
              .map((chain) => first(reduction).addAll(chain)),
          ),
      this.eachBlock(blocks, ({ stageValues }, i) =>
        reductions.map(({ stage, index }) => {
          const accumulator = accumulators.get(index)?.[i] as Accumulator;
          if (this.share !== undefined)
            return accumulator.save(this.#savedAt(stage, get(this.share.number)), this.#savedCount(count));
          return this.#finish(stage, index, accumulator, stageValues, count);
        }),
      ),
    ];
  }

  #accumulators(stages: readonly NumberedStage[], chains: number): Accumulators {
    const { kind, lanes } = this.#plan;
    const { scope } = this.#loops.context;
    return new Map(
      stages.flatMap(({ stage, index }) => {
        const { kind: reduction } = stage;
        if (reduction === 'map') return [];
        const dtype = laneDType(stage.value.dtype);
        return [[index, range(chains).map(() => new Accumulator(scope, reduction, dtype, lanes, kind === 'columns'))]];
      }),
    );
  }

  /** The inner loops around the stages of a walk; the innermost one goes by vectors along rows, or down the columns. */
  #nest(
    stages: readonly NumberedStage[],
    accumulators: Accumulators,
    chains: number,
    blocks: readonly Block[],
    count: Count,
  ): Statement {
    const { kernel, kind, lanes, shares } = this.#plan;
    const { share } = this;
    const loops = this.#loops;
    const body = (outside: Computed, count: Count, chain: number): Statement => {
      const computed = new Computed(outside);
      return stages.map(({ stage, index }) => {
        if (stage.kind === 'map') return loops.map(index, count, computed);
        const accumulator = accumulators.get(index)?.[chain] as Accumulator;
        return [loops.compute(stage, count, computed), accumulator.add(computed.get(stage.scalar) as V128, count)];
      });
    };

    const last = kernel.inner.at(-1) as Variable;
    const endOf = (loop: Variable): I32 =>
      share !== undefined && loop === shares?.loop ? get(share.high) : int(loop.size);
    const begin = (loop: Variable): Statement =>
      set(loops.counter(loop), share !== undefined && loop === shares?.loop ? get(share.low) : int(0));
    const innermost = (): Statement => {
      const counter = loops.counter(last);
      if (kind === 'columns') {
        return countUp(
          counter,
          endOf(last),
          1,
          this.eachBlock(blocks, ({ computed }, i) => body(computed, count, i)),
        );
      }
      const [{ computed, stageValues }] = blocks as readonly [Block];
      loops.stageValues = stageValues;
      const line = new Computed(computed);
      const together = lanes * chains;
      return [
        stages.map(({ stage }) => loops.steady(stage, [last], lanes, line)),
        chains === 1
          ? []
          : countUp(
              counter,
              i32.sub(endOf(last), int(together - 1)),
              together,
              loops.beside(last, chains, lanes, (chain) => body(line, lanes, chain)),
            ),
        vectorLoop(counter, endOf(last), lanes, (width) => body(line, width, 0)),
      ];
    };
    return kernel.inner
      .slice(0, -1)
      .reduceRight<Statement>(
        (code, loop) => [begin(loop), countUp(loops.counter(loop), endOf(loop), 1, code)],
        [begin(last), innermost()],
      );
  }

  /** Adds up the partial results of all shares, in order. */
  #joinShares(
    reductions: readonly NumberedStage[],
    accumulators: Accumulators,
    blocks: readonly Block[],
    count: Count,
  ): Statement {
    return reductions.map(({ stage, index }) =>
      forRange(
        this.#number,
        int(this.#plan.shares?.count ?? 0),
        1,
        this.eachBlock(blocks, (_, i) => {
          const accumulator = accumulators.get(index)?.[i] as Accumulator;
          return accumulator.addSaved(this.#savedAt(stage, get(this.#number)), this.#savedCount(count));
        }),
      ),
    );
  }

  /** Rounds the result of a reduction to its dtype and stores it. */
  #finish(stage: Stage, index: number, accumulator: Accumulator, stageValues: StageValues, count: Count): Statement {
    const { code, value } = accumulator.result();
    const { dtype } = stage.value;
    const rounded = this.#loops.context.scope.local('v128');
    stageValues.set(index, get(rounded));
    return [
      code,
      set(rounded, value),
      isHalf(dtype) ? set(rounded, roundToHalf(dtype, get(rounded))) : [],
      this.#loops.store(stage, this.#plan.kind === 'columns' ? count : 1, get(rounded)),
    ];
  }

  /** Elements that an accumulator saves: along rows, the lanes are parts of one result and are all kept. */
  #savedCount(count: Count): Count {
    return this.#plan.kind === 'rows' ? this.#plan.lanes : count;
  }

  /** Addresses of the partial result of one share of a reduction, at the current place of the outer loops. */
  #savedAt(stage: Stage, share: I32): I32[] {
    const { kernel, kind, lanes } = this.#plan;
    const { context } = this.#loops;
    const outerShape = kernel.outer.map(({ size }) => size);
    const place = flatten(kernel.outer.map(at), stridesOf(outerShape));
    const places = outerShape.reduce((a, b) => a * b, 1);
    const width = kind === 'rows' ? lanes : 1;
    return (placeShares(this.#plan).planes.get(stage) ?? []).map(({ offset, bytes }) => {
      const index = i32.add(product(share, int(places)), positionCode(context, place));
      return sum(context.scratch, int(offset), product(index, int(width * bytes)));
    });
  }
}
