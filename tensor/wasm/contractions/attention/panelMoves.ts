import { get, increase, int, integers, product, range, repeat, set } from '../../assembler/control.ts';
import { i32, type Statement, v128, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import { blockRows } from '../microKernel.ts';
import type { Storage } from '../storage.ts';
import type { QueryPanel } from './queryPanel.ts';

type Transpose = Storage['transpose'];

/** (values, to, keys, depth): packs a panel [keys, queries] as a part of panels of 4 keys, `depth` queries deep. */
export const addToRows = (module: ModuleBuilder, { element, vectors, rowBytes }: QueryPanel, transpose: Transpose) => {
  const { bytes, lanes } = element;
  return module.function({ parameters: ['i32', 'i32', 'i32', 'i32'] }, ([values, to, keys, depth], scope) => {
    const i = scope.local('i32');
    const square = range(lanes).map(() => scope.local('v128'));
    return repeat(
      i,
      i32.divU(get(keys), int(blockRows)),
      vectors.map((v) =>
        range(blockRows / lanes).map((q) => [
          square.map((line, r) => set(line, v128.load(get(values), (q * lanes + r) * rowBytes + v * 16))),
          transpose(square.map(get)).map((column, query) =>
            v128.store(get(to), column, (v * lanes + query) * blockRows * bytes + q * 16),
          ),
        ]),
      ),
      increase(values, blockRows * rowBytes),
      increase(to, product(get(depth), int(blockRows * bytes))),
    );
  });
};

/** (values, rows, lines, to, toRow): stores the first `lines` queries of a panel [rows, queries] as rows toRow bytes apart. */
export const addStoreLines = (module: ModuleBuilder, panel: QueryPanel, transpose: Transpose) => {
  const { element, columns, vectors, rowBytes } = panel;
  const { bytes, lanes } = element;
  return module.function(
    { parameters: ['i32', 'i32', 'i32', 'i32', 'i32'] },
    ([values, rows, lines, to, toRow], scope) => {
      const { i, line, at, from } = integers(scope, 'i line at from');
      const square = range(lanes).map(() => scope.local('v128'));
      const bySquares: Statement = repeat(
        i,
        i32.divU(get(rows), int(lanes)),
        set(at, get(to)),
        vectors.map((v) => [
          square.map((value, r) => set(value, v128.load(get(values), r * rowBytes + v * 16))),
          transpose(square.map(get)).map((column) => [v128.store(get(at), column), increase(at, get(toRow))]),
        ]),
        increase(values, lanes * rowBytes),
        increase(to, lanes * bytes),
      );
      const byElements: Statement = repeat(
        i,
        get(i),
        set(at, get(to)),
        set(from, get(values)),
        repeat(
          line,
          get(lines),
          element.storeOne(get(at), element.loadOne(get(from))),
          increase(at, get(toRow)),
          increase(from, bytes),
        ),
        increase(values, rowBytes),
        increase(to, bytes),
      );
      return [
        when(
          i32.eq(get(lines), int(columns)),
          [bySquares, set(i, i32.remU(get(rows), int(lanes)))],
          [set(i, get(rows))],
        ),
        when(get(i), [byElements]),
      ];
    },
  );
};
