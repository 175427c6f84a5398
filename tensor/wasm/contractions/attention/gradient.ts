import { countUp, forRange, get, int, integers, minimum, product, set, sum } from '../../assembler/control.ts';
import { type I32, i32, type Local, memoryFill, type Statement, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import { eachItem, moveToBatch, splitDigit } from '../items.ts';
import { blockRows } from '../microKernel.ts';
import { attentionGradientWords, wordsAt } from '../parameters.ts';
import { wholeBlocks } from './kernel.ts';
import { type AttentionParts, clearRows, scorePanel } from './parts.ts';

const roundedUp = (value: I32, multiple: number): I32 => i32.and(i32.add(value, int(multiple - 1)), int(-multiple));

const names =
  'item k kColumns v q g bias byQ byK byV block end query last lines rows depth at seen until filled column' as const;
type Locals = ReturnType<typeof integers<typeof names>>;
type Word = (typeof attentionGradientWords)[number];

/** What the code of the kernel refers to: its parts, its parameter block, its locals and places in its scratch memory. */
interface GradientCode {
  readonly parts: AttentionParts;
  readonly words: (name: Word) => I32;
  readonly place: (name: Word) => I32;
  readonly locals: Locals;
}

/**
 * Exports (parameters, unit, scratch): the gradients of attention. An item is a part of the queries of one batch entry; it
 * adds its part of the gradients by k and v to matrices of its own, which `addAttentionSum` adds up afterwards. The
 * scores are computed again, those of one block of queries at a time.
 */
export function addAttentionGradient(module: ModuleBuilder, parts: AttentionParts, name: string): void {
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit, scratch], scope) => {
    const words = wordsAt(attentionGradientWords, parameters);
    const locals = integers(scope, names);
    const place = (word: Word): I32 => sum(get(scratch), words(word));
    const { item, k, kColumns, v, q, g, bias, byQ, byK, byV, block, end, seen, until, filled } = locals;
    return eachItem(
      scope,
      unit,
      words,
      item,
      set(byK, sum(words('byK'), product(get(item), words('byKBytes')))),
      set(byV, sum(words('byV'), product(get(item), words('byVBytes')))),
      memoryFill(get(byK), int(0), words('byKBytes')),
      memoryFill(get(byV), int(0), words('byVBytes')),
      splitDigit(item, block, words('blocks')),
      set(k, words('kRows')),
      set(kColumns, words('kColumns')),
      set(v, words('vRows')),
      set(q, words('q')),
      set(g, words('g')),
      set(bias, words('bias')),
      set(byQ, words('byQ')),
      moveToBatch(scope, i32.add(get(parameters), int(attentionGradientWords.length * 4)), words('rank'), item, [
        k,
        kColumns,
        v,
        q,
        g,
        bias,
        byQ,
      ]),
      set(block, product(get(block), words('perItem'))),
      set(end, minimum(i32.add(get(block), words('perItem')), words('queries'))),
      set(seen, words('keys')),
      set(until, words('keys')),
      set(filled, roundedUp(words('keys'), blockRows)),
      countUp(block, get(end), words('queryBlock'), oneBlock({ parts, words, place, locals })),
    );
  });
}

/** Packs rows of q or g from number `first` on; the sizes are those of `PackPanels`. */
const pack = (
  { parts }: GradientCode,
  from: Local<'i32'>,
  first: Local<'i32'>,
  row: I32,
  [along, across, depth, width]: readonly [I32, I32, I32, I32],
  to: I32,
  panelDepth: I32,
): Statement =>
  parts.packColumns.call(sum(get(from), product(get(first), row)), along, across, depth, width, to, int(0), panelDepth);

/** The gradients of a block of queries: by q to the output, by k and v added to the item's matrices. */
function oneBlock(code: GradientCode): Statement {
  const { parts, words, place, locals } = code;
  const { element, panel, rowsKernel } = parts;
  const { bytes } = element;
  const { q, g, byK, byV, block, end, query, last, rows, depth, seen, until, filled, column } = locals;
  /** c += a·b over the block's queries, for all columns of b. */
  const addProducts = (a: I32, b: I32, c: Local<'i32'>, cRow: I32, columns: I32): Statement =>
    forRange(
      column,
      columns,
      panel,
      rowsKernel.call(
        a,
        sum(b, product(get(column), get(depth), int(bytes))),
        sum(get(c), product(get(column), int(bytes))),
        cRow,
        get(depth),
        get(filled),
        int(1),
      ),
    );
  return [
    set(last, minimum(i32.add(get(block), words('queryBlock')), get(end))),
    set(rows, i32.sub(get(last), get(block))),
    set(depth, roundedUp(get(rows), panel)),
    when(words('causal'), [
      set(seen, minimum(i32.add(get(block), get(depth)), words('keys'))),
      set(until, wholeBlocks(get(seen), words('keyBlock'), words('keys'))),
      set(filled, roundedUp(get(seen), blockRows)),
    ]),
    // Queries past the end must be 0: the block is contracted over a multiple of the panel's width.
    when(i32.ne(get(rows), get(depth)), [memoryFill(place('queryColumns'), int(0), words('columnBytes'))]),
    pack(
      code,
      q,
      block,
      words('qRow'),
      [words('qRow'), words('qAlong'), get(rows), words('dim')],
      place('queryColumns'),
      get(depth),
    ),
    pack(
      code,
      g,
      block,
      words('gRow'),
      [words('gRow'), words('gAlong'), get(rows), words('width')],
      place('gColumns'),
      get(depth),
    ),
    set(query, get(block)),
    countUp(query, get(last), panel, onePanel(code)),
    addProducts(place('weightRows'), place('gColumns'), byV, words('byVRow'), words('width')),
    addProducts(place('scoreRows'), place('queryColumns'), byK, words('byKRow'), words('dim')),
  ];
}

/** One panel of queries of a block: its weights and ∂L/∂scores, packed as rows of keys, and its gradient by q. */
function onePanel(code: GradientCode): Statement {
  const { parts, words, place, locals } = code;
  const { element, panel, products, softmaxGradient, toRows, storeLines } = parts;
  const { bytes } = element;
  const { kColumns, v, g, byQ, block, query, last, lines, depth, at, seen, until, filled } = locals;
  const room = { queryPanel: place('queryPanel'), biasPanel: place('biasPanel'), scores: place('weights') };
  return [
    set(lines, minimum(int(panel), i32.sub(get(last), get(query)))),
    scorePanel(parts, words, locals, room),
    set(at, i32.sub(get(query), get(block))),
    pack(
      code,
      g,
      query,
      words('gRow'),
      [words('gAlong'), words('gRow'), words('width'), get(lines)],
      place('gPanel'),
      words('width'),
    ),
    products.call(
      get(v),
      words('keys'),
      place('gPanel'),
      place('byScores'),
      words('width'),
      words('widthBlock'),
      get(seen),
    ),
    softmaxGradient.call(room.scores, place('byScores'), get(seen), room.queryPanel),
    clearRows(parts, room.scores, get(seen), get(filled)),
    clearRows(parts, place('byScores'), get(seen), get(filled)),
    when(i32.ltU(get(filled), get(until)), [clearRows(parts, place('byScores'), get(filled), get(until))]),
    (
      [
        ['weights', 'weightRows'],
        ['byScores', 'scoreRows'],
      ] as const
    ).map(([from, to]) =>
      toRows.call(place(from), sum(place(to), product(get(at), int(blockRows * bytes))), get(filled), get(depth)),
    ),
    products.call(
      get(kColumns),
      words('dim'),
      place('byScores'),
      place('tile'),
      get(until),
      words('keyBlock'),
      words('dim'),
    ),
    storeLines.call(
      place('tile'),
      words('dim'),
      get(lines),
      sum(get(byQ), product(get(query), words('dim'), int(bytes))),
      product(words('dim'), int(bytes)),
    ),
  ];
}
