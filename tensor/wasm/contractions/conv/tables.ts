import { get, increase, int, integers, product, set, sum } from '../../assembler/control.ts';
import { brIf, type I32, i32, type Local, loop, type Statement, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import { carry, splitDigit } from '../items.ts';
import { convWords, wordsAt } from '../parameters.ts';

/** Loads entry `digit` of a list of the parameter block. */
export const listed =
  (parameters: Local<'i32'>) =>
  (list: 'listTapsZ' | 'listTapsY' | 'listTapsX' | 'listZ' | 'listY' | 'listX', digit: Local<'i32'>): I32 =>
    i32.load(sum(get(parameters), wordsAt(convWords, parameters)(list), product(get(digit), int(4))));

/**
 * (parameters, column, columns, padded, xTable, outTable): stores the offsets in x and out of each column of a tile, from
 * number `column` on. Columns from `columns` up to `padded` repeat the last offset in x. columns > 0.
 */
export function addColumnTables(module: ModuleBuilder) {
  const signature = { parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'] } as const;
  return module.function(signature, ([parameters, column, columns, padded, xTable, outTable], scope) => {
    const words = wordsAt(convWords, parameters);
    const entry = listed(parameters);
    const { image, z, y, x, xPlace, xRow, outRow, j } = integers(scope, 'image z y x xPlace xRow outRow j');
    const startRow: Statement = [
      set(xRow, sum(product(get(image), words('xImage')), entry('listZ', z), entry('listY', y))),
      set(
        outRow,
        sum(product(get(image), words('outImage')), product(get(z), words('outZ')), product(get(y), words('outY'))),
      ),
    ];
    const store = (table: Local<'i32'>, value: I32): Statement =>
      i32.store(i32.add(get(table), product(get(j), int(4))), value);
    const nextRow = carry(y, words('positionsY'), carry(z, words('positionsZ'), increase(image, 1)));
    return [
      set(image, get(column)),
      splitDigit(image, x, words('positionsX')),
      splitDigit(image, y, words('positionsY')),
      splitDigit(image, z, words('positionsZ')),
      startRow,
      loop(
        set(xPlace, sum(get(xRow), entry('listX', x))),
        store(xTable, get(xPlace)),
        store(outTable, sum(get(outRow), product(get(x), words('outX')))),
        carry(x, words('positionsX'), nextRow, startRow),
        increase(j, 1),
        brIf(0, i32.ltU(get(j), get(columns))),
      ),
      when(i32.ltU(get(j), get(padded)), [
        loop(store(xTable, get(xPlace)), increase(j, 1), brIf(0, i32.ltU(get(j), get(padded)))),
      ]),
    ];
  });
}
