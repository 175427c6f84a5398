import { get, increase, int, integers, product, range, repeat, set, sum } from '../../assembler/control.ts';
import { i32, type Statement, v128, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder, TypedFunction } from '../../assembler/module.ts';
import { blockColumns } from '../microKernel.ts';
import type { Interleave } from '../packing/packPanels.ts';
import type { Storage } from '../storage.ts';
import { contiguous } from '../tables.ts';

const parameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

/**
 * (x, offsets, table, panels, depth, to): packs panels of output positions. Element k of position j is at
 * `x + table[j] + offsets[k]`; neighbouring positions are mostly contiguous. The table fills whole panels.
 */
export type Gather = TypedFunction<typeof parameters, undefined>;

export function addGather(module: ModuleBuilder, storage: Storage): Gather {
  const { bytes, lanes, move } = storage;
  const columns = blockColumns(storage);
  const step = columns * bytes;
  return module.function({ parameters }, ([x, offsets, table, panels, depth, to], scope) => {
    const { k, panel, offset, target, low, high } = integers(scope, 'k panel offset target low high');
    const entry = (j: number) => i32.load(get(table), j * 4);
    const eachStep = (...body: readonly Statement[]): Statement => [
      set(offset, get(offsets)),
      set(target, get(to)),
      repeat(k, get(depth), body, increase(offset, 4), increase(target, step)),
    ];
    const half = (first: number): Statement =>
      when(
        contiguous(table, first, lanes, bytes),
        [
          set(low, sum(get(x), entry(first))),
          eachStep(v128.store(get(target), v128.load(sum(get(low), i32.load(get(offset)))), first * bytes)),
        ],
        range(lanes / 2).map((pair) => [
          set(low, sum(get(x), entry(first + 2 * pair))),
          set(high, sum(get(x), entry(first + 2 * pair + 1))),
          eachStep(
            move(get(target), sum(get(low), i32.load(get(offset))), (first + 2 * pair) * bytes),
            move(get(target), sum(get(high), i32.load(get(offset))), (first + 2 * pair + 1) * bytes),
          ),
        ]),
      );
    return repeat(
      panel,
      get(panels),
      when(
        i32.and(contiguous(table, 0, lanes, bytes), contiguous(table, lanes, lanes, bytes)),
        [
          set(low, sum(get(x), entry(0))),
          set(high, sum(get(x), entry(lanes))),
          eachStep(
            v128.store(get(target), v128.load(sum(get(low), i32.load(get(offset))))),
            v128.store(get(target), v128.load(sum(get(high), i32.load(get(offset)))), 16),
          ),
        ],
        [half(0), half(lanes)],
      ),
      increase(table, columns * 4),
      increase(to, product(get(depth), int(step))),
    );
  });
}

const runParameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

/**
 * (x, table, panels, run, to, at, panelDepth): packs `run` steps of panels of output positions, from step `at` on. The
 * steps are contiguous in x: element k of position j is k elements behind `x + table[j]`.
 */
export type GatherRun = TypedFunction<typeof runParameters, undefined>;

export function addGatherRun(module: ModuleBuilder, { bytes, lanes }: Storage, interleave: Interleave): GatherRun {
  const columns = blockColumns({ lanes });
  const step = columns * bytes;
  return module.function({ parameters: runParameters }, ([x, table, panels, run, to, at, panelDepth], scope) => {
    const { panel, target } = integers(scope, 'panel target');
    const source = (j: number) => i32.add(get(x), i32.load(get(table), j * 4));
    return repeat(
      panel,
      get(panels),
      set(target, sum(get(to), product(get(at), int(step)))),
      range(columns / lanes).map((half) =>
        interleave.call(
          ...range(lanes).map((lane) => source(half * lanes + lane)),
          get(run),
          i32.add(get(target), int(half * 16)),
        ),
      ),
      increase(table, columns * 4),
      increase(to, product(get(panelDepth), int(step))),
    );
  });
}
