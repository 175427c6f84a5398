import { get, increase, int, integers, minimum, product, set, sum } from '../../assembler/control.ts';
import { brIf, i32, loop, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import type { Element } from '../element.ts';
import { eachItem, moveToBatch, splitDigit } from '../items.ts';
import type { PackPanels } from '../packing/packPanels.ts';
import type { PanelLoop } from '../panelLoop.ts';
import { gemmWords, wordsAt } from '../parameters.ts';
import { evenTable } from '../tables.ts';

/**
 * Exports (parameters, unit, scratch): tiles of C = A·B, for a batch of matrices with any strides. An item is one tile,
 * added up block by block along the contracted dimension. It packs its rows of A, and its columns of B unless an earlier
 * phase packed them.
 */
export function addGemm(
  module: ModuleBuilder,
  { bytes }: Element,
  packRows: PackPanels,
  packColumns: PackPanels,
  panelLoop: PanelLoop,
  name: string,
): void {
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit, scratch], scope) => {
    const words = wordsAt(gemmWords, parameters);
    const { item, a, b, c, row, column, rows, columns, k, depth, table, panels } = integers(
      scope,
      'item a b c row column rows columns k depth table panels',
    );
    return [
      set(table, sum(get(scratch), words('table'))),
      eachItem(
        scope,
        unit,
        words,
        item,
        splitDigit(item, column, words('columnBlocks')),
        splitDigit(item, row, words('rowBlocks')),
        set(a, words('a')),
        set(b, words('b')),
        set(c, words('c')),
        moveToBatch(scope, i32.add(get(parameters), int(gemmWords.length * 4)), words('rank'), item, [a, b, c]),
        set(row, product(get(row), words('rowBlock'))),
        set(column, product(get(column), words('columnBlock'))),
        set(rows, minimum(words('rowBlock'), i32.sub(words('rows'), get(row)))),
        set(columns, minimum(words('columnBlock'), i32.sub(words('columns'), get(column)))),
        increase(a, product(get(row), words('aRow'))),
        increase(b, product(get(column), words('bColumn'))),
        increase(c, sum(product(get(row), words('cRow')), product(get(column), words('cColumn')))),
        evenTable(table, k, get(columns), words('cColumn')),
        set(k, int(0)),
        // Runs at least once: a sum of no terms is 0.
        loop(
          set(depth, minimum(words('blockDepth'), i32.sub(words('depth'), get(k)))),
          packRows.call(
            sum(get(a), product(get(k), words('aAlong'))),
            words('aAlong'),
            words('aRow'),
            get(depth),
            get(rows),
            get(scratch),
            int(0),
            get(depth),
          ),
          when(
            words('packed'),
            [
              set(
                panels,
                sum(
                  get(b),
                  product(int(bytes), sum(product(get(k), words('padded')), product(get(column), get(depth)))),
                ),
              ),
            ],
            [
              set(panels, sum(get(scratch), words('bScratch'))),
              packColumns.call(
                sum(get(b), product(get(k), words('bAlong'))),
                words('bAlong'),
                words('bColumn'),
                get(depth),
                get(columns),
                get(panels),
                int(0),
                get(depth),
              ),
            ],
          ),
          panelLoop.call(
            get(scratch),
            get(panels),
            get(c),
            words('cRow'),
            get(table),
            get(depth),
            get(rows),
            get(columns),
            get(k),
            sum(get(scratch), words('tile')),
          ),
          increase(k, words('blockDepth')),
          brIf(0, i32.ltU(get(k), words('depth'))),
        ),
      ),
    ];
  });
}
