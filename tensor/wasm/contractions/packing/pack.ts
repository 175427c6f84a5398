import { get, increase, int, integers, minimum, product, set, sum } from '../../assembler/control.ts';
import { brIf, i32, loop, type Statement } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import { eachItem, moveToBatch, runs, splitDigit } from '../items.ts';
import { packWords, wordsAt } from '../parameters.ts';
import type { Storage } from '../storage.ts';
import type { PackPanels } from './packPanels.ts';

/**
 * Exports (parameters, unit, scratch): packs a batch of matrices into panels. The panels of one block of the contracted
 * dimension are stored side by side, then those of the next block. An item is a block of lines.
 */
export function addPack(module: ModuleBuilder, { bytes }: Storage, packPanels: PackPanels, name: string): void {
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit], scope) => {
    const words = wordsAt(packWords, parameters);
    const { item, from, to, line, block, depth, at, run } = integers(scope, 'item from to line block depth at run');
    const digits = runs(scope, words);
    const [first, second, third] = digits.outer;
    const onePiece: Statement = [
      set(run, minimum(i32.sub(words('inner'), get(digits.inner)), i32.sub(get(depth), get(at)))),
      packPanels.call(
        sum(
          get(from),
          product(get(first), words('step0')),
          product(get(second), words('step1')),
          product(get(third), words('step2')),
          product(get(digits.inner), words('along')),
        ),
        words('along'),
        words('across'),
        get(run),
        minimum(words('widthBlock'), i32.sub(words('width'), get(line))),
        get(to),
        get(at),
        get(depth),
      ),
      increase(at, get(run)),
      digits.next,
    ];
    return eachItem(
      scope,
      unit,
      words,
      item,
      splitDigit(item, line, words('widthBlocks')),
      splitDigit(item, block, words('depthBlocks')),
      set(from, words('from')),
      set(to, words('to')),
      moveToBatch(scope, i32.add(get(parameters), int(packWords.length * 4)), words('rank'), item, [from, to]),
      set(line, product(get(line), words('widthBlock'))),
      set(block, product(get(block), words('blockDepth'))),
      set(depth, minimum(words('blockDepth'), i32.sub(words('depth'), get(block)))),
      increase(from, product(get(line), words('across'))),
      // Only whole panels come before this one, so none of the lines before it has padding.
      increase(to, product(int(bytes), sum(product(get(block), words('padded')), product(get(line), get(depth))))),
      digits.start(get(block)),
      set(at, int(0)),
      loop(onePiece, brIf(0, i32.ltU(get(at), get(depth)))),
    );
  });
}
