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
} from '../../assembler/control.ts';
import {
  brIf,
  type I32,
  i32,
  type Local,
  loop,
  memoryFill,
  type Statement,
  type V128,
  v128,
  when,
} from '../../assembler/instructions.ts';
import type { ModuleBuilder, TypedFunction } from '../../assembler/module.ts';
import type { Element } from '../element.ts';
import { eachItem, moveToBatch, splitDigit } from '../items.ts';
import { skinnyWords, wordsAt } from '../parameters.ts';
import type { Storage } from '../storage.ts';
import { addDotProducts } from './dotProducts.ts';

/** Steps whose products are added up before their sum is added to the total. */
const blockDepth = 256;

/** Rows go two by two, sharing loads of B, then the one that may remain. */
const inPairs = [
  { rows: 2, times: (rows: I32): I32 => i32.shrU(rows, int(1)) },
  { rows: 1, times: (rows: I32): I32 => i32.and(rows, int(1)) },
] as const;

/**
 * Exports (parameters, unit, scratch): C = A·B for few rows of A, without packing B. If rows of B are contiguous, C is a
 * sum of multiples of them; otherwise dot products with contiguous columns. An item is a block of columns.
 */
export function addSkinny(module: ModuleBuilder, element: Element, storage: Storage, name: string): void {
  const rowSums = addRowSums(module, element);
  const pairs = inPairs.map((part) => ({ ...part, dots: addDotProducts(module, element, storage, part.rows) }));
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit, scratch], scope) => {
    const words = wordsAt(skinnyWords, parameters);
    const { item, a, b, c, aRow, column, columns, row, i } = integers(scope, 'item a b c aRow column columns row i');
    const { bytes } = element;
    const contiguousRows: Statement = [
      forRange(
        row,
        words('rows'),
        1,
        forRange(
          i,
          words('depth'),
          1,
          storage.move(
            sum(get(scratch), product(int(bytes), sum(product(get(row), words('depth')), get(i)))),
            sum(get(a), product(get(row), words('aRow')), product(get(i), words('aAlong'))),
          ),
        ),
      ),
      set(a, get(scratch)),
      set(aRow, product(words('depth'), int(bytes))),
    ];
    return eachItem(
      scope,
      unit,
      words,
      item,
      splitDigit(item, column, words('columnBlocks')),
      set(a, words('a')),
      set(b, words('b')),
      set(c, words('c')),
      moveToBatch(scope, i32.add(get(parameters), int(skinnyWords.length * 4)), words('rank'), item, [a, b, c]),
      set(column, product(get(column), words('columnBlock'))),
      set(columns, minimum(words('columnBlock'), i32.sub(words('columns'), get(column)))),
      increase(b, product(get(column), words('bColumn'))),
      increase(c, product(get(column), words('cColumn'))),
      set(aRow, words('aRow')),
      when(i32.ne(words('aAlong'), int(bytes)), [contiguousRows]),
      when(
        i32.eq(words('bColumn'), int(bytes)),
        [
          rowSums.call(
            get(a),
            get(aRow),
            words('rows'),
            get(b),
            words('bAlong'),
            words('depth'),
            get(columns),
            get(c),
            words('cRow'),
            words('cColumn'),
            sum(get(scratch), words('sums')),
          ),
        ],
        [
          pairs.map(({ rows, times, dots }) =>
            repeat(
              row,
              times(words('rows')),
              dots.call(
                get(a),
                get(aRow),
                get(b),
                words('bColumn'),
                words('depth'),
                get(columns),
                get(c),
                words('cRow'),
                words('cColumn'),
              ),
              increase(a, product(get(aRow), int(rows))),
              increase(c, product(words('cRow'), int(rows))),
            ),
          ),
        ],
      ),
    );
  });
}

/** (a, aRow, rows, b, bAlong, depth, columns, c, cRow, cColumn, sums): C as sums of multiples of rows of B. */
function addRowSums(module: ModuleBuilder, element: Element) {
  const { bytes } = element;
  const [four, one] = [4, 1].map((count) =>
    inPairs.map((part) => ({ ...part, multiples: addMultiples(module, element, count, part.rows) })),
  ) as unknown as readonly [Multiples, Multiples];
  const parameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;
  return module.function(
    { parameters },
    ([a, aRow, rows, b, bAlong, depth, columns, c, cRow, cColumn, sums], scope) => {
      const { k, i, row, left, sumsRow, to, from } = integers(scope, 'k i row left sumsRow to from');
      const steps = (multiples: Multiples, count: number): Statement => [
        set(sumsRow, get(sums)),
        set(left, get(a)),
        multiples.map(({ rows: at, times, multiples }) =>
          repeat(
            row,
            times(get(rows)),
            multiples.call(get(sumsRow), get(b), get(bAlong), get(left), get(aRow), get(columns)),
            increase(left, product(get(aRow), int(at))),
            increase(sumsRow, product(get(columns), int(at * bytes))),
          ),
        ),
        increase(a, count * bytes),
        increase(b, product(get(bAlong), int(count))),
      ];
      const toC = (value: V128): Statement => [
        set(from, get(sums)),
        forRange(
          row,
          get(rows),
          1,
          set(to, sum(get(c), product(get(row), get(cRow)))),
          repeat(i, get(columns), element.storeOne(get(to), value), increase(from, bytes), increase(to, get(cColumn))),
        ),
      ];
      const { block } = integers(scope, 'block');
      return [
        set(k, int(0)),
        loop(
          set(block, minimum(int(blockDepth), i32.sub(get(depth), get(k)))),
          set(to, get(sums)),
          memoryFill(get(to), int(0), product(get(rows), get(columns), int(bytes))),
          repeat(i, i32.divU(get(block), int(4)), steps(four, 4)),
          repeat(i, i32.remU(get(block), int(4)), steps(one, 1)),
          when(
            get(k),
            [toC(element.add(element.loadOne(get(to)), element.loadOne(get(from))))],
            [toC(element.loadOne(get(from)))],
          ),
          increase(k, blockDepth),
          brIf(0, i32.ltU(get(k), get(depth))),
        ),
      ];
    },
  );
}

const multiplesParameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

type Multiples = readonly ((typeof inPairs)[number] & {
  readonly multiples: TypedFunction<typeof multiplesParameters, undefined>;
})[];

/**
 * (to, b, bAlong, a, aRow, columns): to[r, j] += Σ a[r, k]·b[k, j] over `count` steps k, for `rows` rows. `to` is
 * row-major.
 */
function addMultiples(module: ModuleBuilder, element: Element, count: number, rows: number) {
  const { bytes, lanes } = element;
  return module.function({ parameters: multiplesParameters }, ([to, b, bAlong, a, aRow, columns], scope) => {
    const targets = [to, ...range(rows - 1).map(() => scope.local('i32'))];
    const factors = targets.map(() => range(count).map(() => scope.local('v128')));
    const sources = range(count).map(() => scope.local('i32'));
    const right = sources.map(() => scope.local('v128'));
    const i = scope.local('i32');
    const added = (load: Element['loadOne'], store: Element['storeOne'], by: number): Statement => [
      right.map((value, k) => set(value, load(get(sources[k] as Local<'i32'>)))),
      targets.map((target, r) =>
        store(
          get(target),
          right.reduce<V128>(
            (total, value, k) => element.multiplyAdd(get(factors[r]?.[k] as Local<'v128'>), get(value), total),
            load(get(target)),
          ),
        ),
      ),
      [...targets, ...sources].map((place) => increase(place, by)),
    ];
    return [
      factors.map((row, r) =>
        row.map((factor, k) => set(factor, element.loadSplat(sum(get(a), product(get(aRow), int(r))), k * bytes))),
      ),
      sources.map((source, k) => set(source, sum(get(b), product(get(bAlong), int(k))))),
      targets.slice(1).map((target, r) => set(target, sum(get(to), product(get(columns), int((r + 1) * bytes))))),
      repeat(i, i32.divU(get(columns), int(lanes)), added(v128.load, v128.store, 16)),
      repeat(i, i32.remU(get(columns), int(lanes)), added(element.loadOne, element.storeOne, bytes)),
    ];
  });
}
