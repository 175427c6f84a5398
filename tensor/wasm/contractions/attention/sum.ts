import { countUp, get, increase, int, integers, minimum, product, repeat, set, sum } from '../../assembler/control.ts';
import { type I32, i32, type Statement, type V128, v128 } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import type { Element } from '../element.ts';
import { eachItem, splitDigit } from '../items.ts';
import { attentionSumWords, wordsAt } from '../parameters.ts';

/**
 * Exports (parameters, unit, scratch): the sum of several matrices, for a batch: the gradients by k or v, of which each
 * item of `addAttentionGradient` makes a part. An item is a block of rows of one sum.
 */
export function addAttentionSum(module: ModuleBuilder, element: Element, name: string): void {
  const { bytes, lanes } = element;
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit], scope) => {
    const words = wordsAt(attentionSumWords, parameters);
    const { item, row, last, column, from, to, part, at, target, i } = integers(
      scope,
      'item row last column from to part at target i',
    );
    const total = scope.local('v128');
    const addUp = (load: (address: I32) => V128): Statement => [
      set(total, element.zero),
      set(part, get(at)),
      repeat(
        i,
        words('parts'),
        set(total, element.add(get(total), load(get(part)))),
        increase(part, words('partBytes')),
      ),
    ];
    return eachItem(
      scope,
      unit,
      words,
      item,
      splitDigit(item, row, words('blocks')),
      set(row, product(get(row), words('rowBlock'))),
      set(last, minimum(i32.add(get(row), words('rowBlock')), words('rows'))),
      set(from, sum(words('from'), product(get(item), words('fromStep')), product(get(row), words('fromRow')))),
      set(to, sum(words('to'), product(get(item), words('toStep')), product(get(row), words('toRow')))),
      countUp(
        row,
        get(last),
        1,
        set(at, get(from)),
        set(target, get(to)),
        set(column, int(0)),
        countUp(
          column,
          i32.sub(words('width'), int(lanes - 1)),
          lanes,
          addUp(v128.load),
          v128.store(get(target), get(total)),
          increase(at, 16),
          increase(target, 16),
        ),
        countUp(
          column,
          words('width'),
          1,
          addUp(element.loadOne),
          element.storeOne(get(target), get(total)),
          increase(at, bytes),
          increase(target, bytes),
        ),
        increase(from, words('fromRow')),
        increase(to, words('toRow')),
      ),
    );
  });
}
