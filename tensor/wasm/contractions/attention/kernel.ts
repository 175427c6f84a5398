import { countUp, get, int, integers, minimum, product, set, sum } from '../../assembler/control.ts';
import { type I32, i32, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import { eachItem, moveToBatch, splitDigit } from '../items.ts';
import { attentionWords, wordsAt } from '../parameters.ts';
import { type AttentionParts, clearRows, scorePanel } from './parts.ts';

/** Keys up to the end of the block that holds the last key seen: products run over whole blocks. */
export const wholeBlocks = (seen: I32, block: I32, keys: I32): I32 =>
  minimum(product(i32.divU(i32.add(seen, i32.sub(block, int(1))), block), block), keys);

/**
 * Exports (parameters, unit, scratch): softmax(q·kᵀ + bias)·v. An item is a block of queries of one batch entry. Only the
 * scores of one panel of queries with all keys are stored at a time.
 */
export function addAttention(module: ModuleBuilder, parts: AttentionParts, name: string): void {
  const { element, panel, products, divide, storeLines } = parts;
  const { bytes } = element;
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit, scratch], scope) => {
    const words = wordsAt(attentionWords, parameters);
    const place = (word: 'queryPanel' | 'biasPanel' | 'tile' | 'scores'): I32 => sum(get(scratch), words(word));
    const locals = integers(scope, 'item k v q bias out query last lines seen until');
    const { item, k, v, q, bias, out, query, last, lines, seen, until } = locals;
    const room = { queryPanel: place('queryPanel'), biasPanel: place('biasPanel'), scores: place('scores') };
    return eachItem(
      scope,
      unit,
      words,
      item,
      splitDigit(item, query, words('blocks')),
      set(k, words('kRows')),
      set(v, words('vColumns')),
      set(q, words('q')),
      set(bias, words('bias')),
      set(out, words('out')),
      moveToBatch(scope, i32.add(get(parameters), int(attentionWords.length * 4)), words('rank'), item, [
        k,
        v,
        q,
        bias,
        out,
      ]),
      set(query, product(get(query), words('perItem'))),
      set(last, minimum(i32.add(get(query), words('perItem')), words('queries'))),
      set(seen, words('keys')),
      set(until, words('keys')),
      countUp(
        query,
        get(last),
        panel,
        set(lines, minimum(int(panel), i32.sub(get(last), get(query)))),
        when(words('causal'), [
          set(seen, minimum(i32.add(get(query), int(panel)), words('keys'))),
          set(until, wholeBlocks(get(seen), words('keyBlock'), words('keys'))),
        ]),
        scorePanel(parts, words, locals, room),
        clearRows(parts, room.scores, get(seen), get(until)),
        products.call(
          get(v),
          words('width'),
          room.scores,
          place('tile'),
          get(until),
          words('keyBlock'),
          words('width'),
        ),
        divide.call(place('tile'), words('width'), room.queryPanel),
        storeLines.call(
          place('tile'),
          words('width'),
          get(lines),
          sum(get(out), product(get(query), words('width'), int(bytes))),
          product(words('width'), int(bytes)),
        ),
      ),
    );
  });
}
