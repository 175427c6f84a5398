import { get, increase, int, integers, minimum, product, set, sum } from '../../assembler/control.ts';
import { brIf, i32, type Local, loop, type Statement, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder, Scope } from '../../assembler/module.ts';
import type { Element } from '../element.ts';
import { eachItem, runs, splitDigit } from '../items.ts';
import { blockColumns, blockRows } from '../microKernel.ts';
import type { DirectLoop, PanelLoop } from '../panelLoop.ts';
import { convWords, wordsAt } from '../parameters.ts';
import type { Gather, GatherRun } from './gather.ts';
import { addColumnTables, listed } from './tables.ts';

/** The contracted dimension (channels and taps) in runs along the kernel's rows. */
const tapRuns = (scope: Scope, words: ReturnType<typeof wordsAt<(typeof convWords)[number]>>) => {
  const names = { size0: 'channels', size1: 'tapsZ', size2: 'tapsY', inner: 'tapsX' } as const;
  return runs(scope, (name) => words(names[name]));
};

interface Parts {
  readonly gather: Gather;
  readonly gatherRun: GatherRun;
  readonly panelLoop: PanelLoop;
  readonly directLoop: DirectLoop;
}

/**
 * Exports (parameters, unit, scratch): tiles of a convolution as an implicit matrix product. Rows are output channels of a
 * group, columns are output positions of all images. An item is one tile; it gathers its columns from the padded copy of
 * x, block by block along the contracted dimension.
 */
export function addConv(module: ModuleBuilder, element: Element, parts: Parts, name: string): void {
  const { bytes } = element;
  const panel = blockColumns(element);
  const columnTables = addColumnTables(module);
  const blockByTaps = addBlockByTaps(module, parts.gatherRun, bytes);
  const tapTable = addTapTable(module);
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit, scratch], scope) => {
    const words = wordsAt(convWords, parameters);
    const { item, row, column, rows, columns, panels, k, depth, x, weights, out } = integers(
      scope,
      'item row column rows columns panels k depth x weights out',
    );
    const { xTable, outTable, offsets, packed } = integers(scope, 'xTable outTable offsets packed');
    const operands = [
      sum(get(weights), product(int(bytes), sum(product(get(k), words('rows')), product(get(row), get(depth))))),
      get(scratch),
      get(out),
      words('outRow'),
      get(outTable),
      get(depth),
      get(rows),
      get(columns),
      get(k),
      sum(get(scratch), words('tile')),
    ] as const;
    const byPositions: Statement = [
      tapTable.call(get(parameters), get(k), get(depth), get(offsets)),
      when(
        i32.leU(get(rows), int(blockRows)),
        [parts.directLoop.call(...operands, get(x), get(xTable), get(offsets)), set(packed, int(0))],
        [parts.gather.call(get(x), get(offsets), get(xTable), get(panels), get(depth), get(scratch))],
      ),
    ];
    return [
      set(xTable, sum(get(scratch), words('xTable'))),
      set(outTable, sum(get(scratch), words('outTable'))),
      set(offsets, sum(get(scratch), words('tapTable'))),
      eachItem(
        scope,
        unit,
        words,
        item,
        splitDigit(item, column, words('columnBlocks')),
        splitDigit(item, row, words('rowBlocks')),
        set(row, product(get(row), words('rowBlock'))),
        set(column, product(get(column), words('columnBlock'))),
        set(rows, minimum(words('rowBlock'), i32.sub(words('rows'), get(row)))),
        set(columns, minimum(words('columnBlock'), i32.sub(words('columns'), get(column)))),
        set(panels, i32.divU(i32.add(get(columns), int(panel - 1)), int(panel))),
        set(x, sum(words('x'), product(get(item), words('xGroup')))),
        set(weights, sum(words('weights'), product(get(item), words('weightsGroup')))),
        set(out, sum(words('out'), product(get(item), words('outGroup')), product(get(row), words('outRow')))),
        columnTables.call(
          get(parameters),
          get(column),
          get(columns),
          // A panel may start at any column.
          i32.add(get(columns), int(panel - 1)),
          get(xTable),
          get(outTable),
        ),
        set(k, int(0)),
        // Runs at least once: a sum of no terms is 0.
        loop(
          set(depth, minimum(words('blockDepth'), i32.sub(words('depth'), get(k)))),
          set(packed, int(1)),
          when(get(depth), [
            when(
              words('byTaps'),
              [blockByTaps.call(get(parameters), get(k), get(depth), get(x), get(xTable), get(panels), get(scratch))],
              [byPositions],
            ),
          ]),
          when(get(packed), [parts.panelLoop.call(...operands)]),
          increase(k, words('blockDepth')),
          brIf(0, i32.ltU(get(k), words('depth'))),
        ),
      ),
    ];
  });
}

/** (parameters, k, depth, offsets): stores the offset in x of each step of a block that starts at step k. depth > 0. */
function addTapTable(module: ModuleBuilder) {
  return module.function({ parameters: ['i32', 'i32', 'i32', 'i32'] }, ([parameters, k, depth, offsets], scope) => {
    const words = wordsAt(convWords, parameters);
    const digits = tapRuns(scope, words);
    const { end, place } = integers(scope, 'end place');
    const entry = listed(parameters);
    return [
      digits.start(get(k)),
      set(end, sum(get(offsets), product(get(depth), int(4)))),
      loop(
        set(place, placeOf(digits.outer, words, entry)),
        loop(
          i32.store(get(offsets), i32.add(get(place), entry('listTapsX', digits.inner))),
          increase(offsets, 4),
          increase(digits.inner, 1),
          brIf(0, i32.and(i32.ltU(get(digits.inner), words('tapsX')), i32.ltU(get(offsets), get(end)))),
        ),
        digits.next,
        brIf(0, i32.ltU(get(offsets), get(end))),
      ),
    ];
  });
}

/** The offset in x of a row of taps. */
const placeOf = (
  [channel, z, y]: readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>],
  words: ReturnType<typeof wordsAt<(typeof convWords)[number]>>,
  entry: ReturnType<typeof listed>,
) => sum(product(get(channel), words('xChannel')), entry('listTapsZ', z), entry('listTapsY', y));

/** (parameters, k, depth, x, xTable, panels, to): packs a block that starts at step k by runs of taps. depth > 0. */
function addBlockByTaps(module: ModuleBuilder, gatherRun: GatherRun, bytes: number) {
  const signature = { parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] } as const;
  return module.function(signature, ([parameters, k, depth, x, xTable, panels, to], scope) => {
    const words = wordsAt(convWords, parameters);
    const digits = tapRuns(scope, words);
    const { at, run, first } = integers(scope, 'at run first');
    return [
      digits.start(get(k)),
      set(at, int(0)),
      loop(
        set(run, minimum(i32.sub(words('tapsX'), get(digits.inner)), i32.sub(get(depth), get(at)))),
        set(
          first,
          sum(get(x), placeOf(digits.outer, words, listed(parameters)), product(get(digits.inner), int(bytes))),
        ),
        gatherRun.call(get(first), get(xTable), get(panels), get(run), get(to), get(at), get(depth)),
        increase(at, get(run)),
        digits.next,
        brIf(0, i32.ltU(get(at), get(depth))),
      ),
    ];
  });
}
