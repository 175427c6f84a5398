import {
  forRange,
  get,
  increase,
  int,
  integers,
  minimum,
  product,
  range,
  repeat,
  set,
  sum,
} from '../assembler/control.ts';
import { block, br, brIf, type I32, i32, loop, type Statement, type V128, when } from '../assembler/instructions.ts';
import type { ModuleBuilder, TypedFunction } from '../assembler/module.ts';
import type { Gather } from './conv/gather.ts';
import type { Element } from './element.ts';
import { blockColumns, type DirectKernel, type RowsKernel, wideRows, wideVectors } from './microKernel.ts';
import { contiguous } from './tables.ts';

const parameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

/**
 * (a, b, c, cRow, table, depth, rows, columns, accumulate, tile): c[rows, columns] = or += a·b of packed panels. Column j
 * of c is `table[j]` bytes from c. `tile` has room for `rows` rows of a panel.
 */
export type PanelLoop = TypedFunction<typeof parameters, undefined>;

export function addPanelLoop(module: ModuleBuilder, element: Element, kernel: RowsKernel, spread: Spread): PanelLoop {
  const { bytes } = element;
  const panel = blockColumns(element);
  return module.function({ parameters }, ([a, b, c, cRow, table, depth, rows, columns, accumulate, tile], scope) => {
    const { column, width } = integers(scope, 'column width');
    return forRange(
      column,
      get(columns),
      panel,
      set(width, minimum(int(panel), i32.sub(get(columns), get(column)))),
      when(
        i32.and(i32.eq(get(width), int(panel)), contiguous(table, 0, panel, bytes)),
        [
          kernel.call(
            get(a),
            get(b),
            i32.add(get(c), i32.load(get(table))),
            get(cRow),
            get(depth),
            get(rows),
            get(accumulate),
          ),
        ],
        [
          kernel.call(get(a), get(b), get(tile), int(panel * bytes), get(depth), get(rows), int(0)),
          spread.call(get(tile), get(c), get(cRow), get(table), get(rows), get(width), get(accumulate)),
        ],
      ),
      increase(b, product(get(depth), int(panel * bytes))),
      increase(table, panel * 4),
    );
  });
}

const directParameters = [...parameters, 'i32', 'i32', 'i32'] as const;

/**
 * (a, b, c, cRow, table, depth, rows, columns, accumulate, tile, x, xTable, offsets): the same for at most 4 rows. Element
 * k of column j of B is at `x + xTable[j] + offsets[k]`. With so few rows, packing costs more than it saves: only panels
 * of scattered columns are gathered, to b.
 */
export type DirectLoop = TypedFunction<typeof directParameters, undefined>;

export function addDirectLoop(
  module: ModuleBuilder,
  element: Element,
  panelLoop: PanelLoop,
  direct: { readonly narrow: DirectKernel; readonly wide: DirectKernel },
  gather: Gather,
  spread: Spread,
): DirectLoop {
  const { bytes, lanes } = element;
  const panel = blockColumns(element);
  return module.function(
    { parameters: directParameters },
    ([a, b, c, cRow, table, depth, rows, columns, accumulate, tile, x, xTable, offsets], scope) => {
      const { column, width, x0, x1, x2, to } = integers(scope, 'column width x0 x1 x2 to');
      const directly = (kernel: DirectKernel, target: I32, row: I32, add: I32): Statement =>
        kernel.call(get(a), get(x0), get(x1), get(x2), get(offsets), target, row, get(depth), get(rows), add);
      const wide = wideVectors * lanes;
      const entry = (vector: number): I32 => sum(get(x), i32.load(get(xTable), vector * lanes * 4));
      /** Three vectors at a time, as long as their columns are contiguous in x and in c. */
      const wideBlocks: Statement = block(
        loop(
          brIf(1, i32.gtU(i32.add(get(column), int(wide)), get(columns))),
          brIf(
            1,
            i32.eqz(
              range(wideVectors).reduce<I32>(
                (all, v) => i32.and(all, contiguous(xTable, v * lanes, lanes, bytes)),
                contiguous(table, 0, wide, bytes),
              ),
            ),
          ),
          [x0, x1, x2].map((place, v) => set(place, entry(v))),
          directly(direct.wide, i32.add(get(c), i32.load(get(table))), get(cRow), get(accumulate)),
          increase(table, wide * 4),
          increase(xTable, wide * 4),
          increase(column, wide),
          br(0),
        ),
      );
      const onePanel: Statement = [
        set(width, minimum(int(panel), i32.sub(get(columns), get(column)))),
        set(x0, entry(0)),
        set(x1, entry(1)),
        set(to, i32.add(get(c), i32.load(get(table)))),
        when(
          i32.and(contiguous(xTable, 0, lanes, bytes), contiguous(xTable, lanes, lanes, bytes)),
          [
            when(
              contiguous(table, 0, panel, bytes),
              [directly(direct.narrow, get(to), get(cRow), get(accumulate))],
              [
                directly(direct.narrow, get(tile), int(panel * bytes), int(0)),
                spread.call(get(tile), get(c), get(cRow), get(table), get(rows), get(width), get(accumulate)),
              ],
            ),
          ],
          [
            gather.call(get(x), get(offsets), get(xTable), int(1), get(depth), get(b)),
            panelLoop.call(
              ...([a, b, c, cRow, table, depth, rows, width, accumulate, tile].map(get) as unknown as Parameters<
                PanelLoop['call']
              >),
            ),
          ],
        ),
      ];
      return forRange(
        column,
        get(columns),
        panel,
        when(i32.leU(get(rows), int(wideRows)), [wideBlocks]),
        when(i32.ltU(get(column), get(columns)), [onePanel]),
        increase(table, panel * 4),
        increase(xTable, panel * 4),
      );
    },
  );
}

const spreadParameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

/** (tile, c, cRow, table, rows, width, accumulate): stores or adds the first `width` columns of a tile to columns of c. */
export type Spread = TypedFunction<typeof spreadParameters, undefined>;

export function addSpread(module: ModuleBuilder, element: Element): Spread {
  const { bytes } = element;
  const step = blockColumns(element) * bytes;
  return module.function({ parameters: spreadParameters }, (p, scope) => {
    const [tile, c, cRow, table, rows, width, accumulate] = p;
    const { row, column, from, to, entry } = integers(scope, 'row column from to entry');
    const eachColumn = (value: V128): Statement => [
      set(from, get(tile)),
      set(entry, get(table)),
      repeat(
        column,
        get(width),
        set(to, sum(get(c), i32.load(get(entry)))),
        element.storeOne(get(to), value),
        increase(from, bytes),
        increase(entry, 4),
      ),
    ];
    return repeat(
      row,
      get(rows),
      when(
        get(accumulate),
        [eachColumn(element.add(element.loadOne(get(to)), element.loadOne(get(from))))],
        [eachColumn(element.loadOne(get(from)))],
      ),
      increase(tile, step),
      increase(c, get(cRow)),
    );
  });
}
