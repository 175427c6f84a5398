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
  f32,
  f32x4,
  f64,
  f64x2,
  type I32,
  i32,
  type Local,
  memoryFill,
  type Statement,
  type V128,
  v128,
  when,
} from '../../assembler/instructions.ts';
import type { ModuleBuilder, Scope, TypedFunction } from '../../assembler/module.ts';
import { double, type FloatLanes, single } from '../../simd/math/format.ts';
import { vectorMath } from '../../simd/math/index.ts';
import type { Element } from '../element.ts';
import { blockColumns, blockRows, blockVectors, type RowsKernel } from '../microKernel.ts';
import type { PackPanels } from '../packing/packPanels.ts';
import type { Storage } from '../storage.ts';

type Parts<N extends number, P extends 'i32'[] = []> = P['length'] extends N ? P : Parts<N, [...P, 'i32']>;
type Call<N extends number> = TypedFunction<Parts<N>, undefined>;

/** Elements that are added one after the other before their sum is added to that of those before. */
const summedAtOnce = 256;

/**
 * What attention's kernels are made of. They work on a panel of queries at a time, as many as a register block has
 * columns, which lie side by side in vectors: a panel of scores is [keys, queries], in the very form in which it is the
 * right side of the next product.
 */
export interface AttentionParts {
  readonly element: Element;
  readonly panel: number;
  readonly packColumns: PackPanels;
  readonly rowsKernel: RowsKernel;
  /** (a, aLines, b, c, depth, blockDepth, rows): the panel c = a·b of packed rows, `aLines` of them, and a panel. */
  readonly products: Call<7>;
  /** (scores, bias, keys): adds a panel to another. */
  readonly addPanel: Call<3>;
  /** (scores, query, keys): −∞ where a key comes after the query. The panel's first query is number `query`. */
  readonly hideLater: Call<3>;
  /** (scores, keys, sums): e^(score − largest), and their sums, one for each query. */
  readonly exponentials: Call<3>;
  /** (panel, rows, sums): divides by numbers, one for each query. */
  readonly divide: Call<3>;
  /** (weights, gradients, keys, sums): divides weights by their sums, and gradients by them become those by the scores. */
  readonly softmaxGradient: Call<4>;
  /** (panel, to, keys, depth): a panel [keys, queries] as a part of packed rows of keys, `depth` queries deep. */
  readonly toRows: Call<4>;
  /** (panel, rows, lines, to, toRow): the first lines of a panel [rows, queries] as rows of their own. */
  readonly storeLines: Call<5>;
}

const instructionsOf = (element: Element) =>
  element.name === 'f64'
    ? {
        float: f64x2 as FloatLanes,
        exp: vectorMath.f64.exp,
        numbers: (value: I32): V128 => f64x2.splat(f64.convertI32S(value)),
        largest: double.maxFinite,
        countUp: (from: number): V128 => f64x2.replaceLane(f64x2.const(from), 1, f64.const(from + 1)),
      }
    : {
        float: f32x4 as FloatLanes,
        exp: vectorMath.f32.exp,
        numbers: (value: I32): V128 => f32x4.splat(f32.convertI32S(value)),
        largest: single.maxFinite,
        countUp: (from: number): V128 =>
          v128.const([...new Uint8Array(Float32Array.from(range(4), (i) => from + i).buffer)]),
      };

export function addAttentionParts(
  module: ModuleBuilder,
  element: Element,
  { transpose }: Storage,
  packColumns: PackPanels,
  rowsKernel: RowsKernel,
): AttentionParts {
  const { bytes, lanes } = element;
  const { float, exp, numbers, largest, countUp } = instructionsOf(element);
  const panel = blockColumns(element);
  const row = panel * bytes;
  const vectors = range(blockVectors);
  const eachVector = (scope: Scope): Local<'v128'>[] => vectors.map(() => scope.local('v128'));
  const load = (from: Local<'i32'>, v: number): V128 => v128.load(get(from), v * 16);
  const store = (to: Local<'i32'>, v: number, value: V128): Statement => v128.store(get(to), value, v * 16);
  const of = (list: readonly Local<'v128'>[], v: number): V128 => get(list[v] as Local<'v128'>);
  const put = (list: readonly Local<'v128'>[], v: number, value: V128): Statement =>
    set(list[v] as Local<'v128'>, value);
  /** Runs `body` for each of `count` rows, adding up what it leaves in `partial`, in blocks, to `totals`. */
  const summed = (
    scope: Scope,
    count: Local<'i32'>,
    totals: readonly Local<'v128'>[],
    body: (partial: readonly Local<'v128'>[]) => Statement,
  ): Statement => {
    const partial = eachVector(scope);
    const { at, i } = integers(scope, 'at i');
    return [
      totals.map((total) => set(total, element.zero)),
      forRange(
        at,
        get(count),
        summedAtOnce,
        partial.map((sum) => set(sum, element.zero)),
        repeat(i, minimum(int(summedAtOnce), i32.sub(get(count), get(at))), body(partial)),
        totals.map((total, v) => set(total, float.add(get(total), of(partial, v)))),
      ),
    ];
  };

  const products = module.function(
    { parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] },
    ([a, aLines, b, c, depth, blockDepth, rows], scope) => {
      const { k, here } = integers(scope, 'k here');
      return forRange(
        k,
        get(depth),
        get(blockDepth),
        set(here, minimum(get(blockDepth), i32.sub(get(depth), get(k)))),
        rowsKernel.call(get(a), get(b), get(c), int(row), get(here), get(rows), get(k)),
        increase(a, product(get(here), get(aLines), int(bytes))),
        increase(b, product(get(here), int(row))),
      );
    },
  );

  const addPanel = module.function({ parameters: ['i32', 'i32', 'i32'] }, ([scores, bias, keys]) =>
    repeat(
      keys,
      get(keys),
      vectors.map((v) => store(scores, v, float.add(load(scores, v), load(bias, v)))),
      increase(scores, row),
      increase(bias, row),
    ),
  );

  const hideLater = module.function({ parameters: ['i32', 'i32', 'i32'] }, ([scores, query, keys], scope) => {
    const key = scope.local('i32');
    const distance = scope.local('v128');
    return [
      increase(scores, product(get(query), int(row))),
      forRange(
        key,
        i32.sub(get(keys), get(query)),
        1,
        set(distance, numbers(get(key))),
        vectors.map((v) =>
          store(
            scores,
            v,
            v128.bitselect(
              float.const(Number.NEGATIVE_INFINITY),
              load(scores, v),
              float.lt(countUp(v * lanes), get(distance)),
            ),
          ),
        ),
        increase(scores, row),
      ),
    ];
  });

  const exponentials = module.function({ parameters: ['i32', 'i32', 'i32'] }, ([scores, keys, sums], scope) => {
    const [most, value, totals] = [eachVector(scope), eachVector(scope), eachVector(scope)];
    const { from, i } = integers(scope, 'from i');
    return [
      most.map((one) => set(one, float.const(Number.NEGATIVE_INFINITY))),
      set(from, get(scores)),
      repeat(
        i,
        get(keys),
        vectors.map((v) => put(most, v, float.pmax(of(most, v), load(from, v)))),
        increase(from, row),
      ),
      // Where nothing is seen there is nothing to shift by: all weights are 0.
      most.map((one) =>
        set(one, v128.bitselect(get(one), element.zero, float.le(float.abs(get(one)), float.const(largest)))),
      ),
      summed(scope, keys, totals, (partial) => [
        vectors.map((v) => put(value, v, exp(scope, float.sub(load(scores, v), of(most, v))))),
        vectors.map((v) => [store(scores, v, of(value, v)), put(partial, v, float.add(of(partial, v), of(value, v)))]),
        increase(scores, row),
      ]),
      vectors.map((v) => store(sums, v, of(totals, v))),
    ];
  });

  const divide = module.function({ parameters: ['i32', 'i32', 'i32'] }, ([values, rows, sums]) =>
    repeat(
      rows,
      get(rows),
      vectors.map((v) => store(values, v, float.div(load(values, v), load(sums, v)))),
      increase(values, row),
    ),
  );

  const softmaxGradient = module.function(
    { parameters: ['i32', 'i32', 'i32', 'i32'] },
    ([weights, gradients, keys, sums], scope) => {
      const [factor, value, totals] = [eachVector(scope), eachVector(scope), eachVector(scope)];
      const { weight, gradient, i } = integers(scope, 'weight gradient i');
      return [
        vectors.map((v) => put(factor, v, float.div(float.const(1), load(sums, v)))),
        set(weight, get(weights)),
        set(gradient, get(gradients)),
        summed(scope, keys, totals, (partial) => [
          vectors.map((v) => [
            put(value, v, float.mul(load(weight, v), of(factor, v))),
            store(weight, v, of(value, v)),
            put(partial, v, float.add(of(partial, v), float.mul(of(value, v), load(gradient, v)))),
          ]),
          increase(weight, row),
          increase(gradient, row),
        ]),
        // ∂L/∂S = P∘(∂L/∂P − Σ P∘∂L/∂P)
        repeat(
          i,
          get(keys),
          vectors.map((v) =>
            store(gradients, v, float.mul(load(weights, v), float.sub(load(gradients, v), of(totals, v)))),
          ),
          increase(weights, row),
          increase(gradients, row),
        ),
      ];
    },
  );

  const toRows = module.function({ parameters: ['i32', 'i32', 'i32', 'i32'] }, ([values, to, keys, depth], scope) => {
    const i = scope.local('i32');
    const square = range(lanes).map(() => scope.local('v128'));
    return repeat(
      i,
      i32.divU(get(keys), int(blockRows)),
      vectors.map((v) =>
        range(blockRows / lanes).map((q) => [
          square.map((line, r) => set(line, v128.load(get(values), (q * lanes + r) * row + v * 16))),
          transpose(square.map(get)).map((column, query) =>
            v128.store(get(to), column, (v * lanes + query) * blockRows * bytes + q * 16),
          ),
        ]),
      ),
      increase(values, blockRows * row),
      increase(to, product(get(depth), int(blockRows * bytes))),
    );
  });

  const storeLines = module.function(
    { parameters: ['i32', 'i32', 'i32', 'i32', 'i32'] },
    ([values, rows, lines, to, toRow], scope) => {
      const { i, line, at, from } = integers(scope, 'i line at from');
      const square = range(lanes).map(() => scope.local('v128'));
      const whole: Statement = repeat(
        i,
        i32.divU(get(rows), int(lanes)),
        set(at, get(to)),
        vectors.map((v) => [
          square.map((value, r) => set(value, v128.load(get(values), r * row + v * 16))),
          transpose(square.map(get)).map((column) => [v128.store(get(at), column), increase(at, get(toRow))]),
        ]),
        increase(values, lanes * row),
        increase(to, lanes * bytes),
      );
      const single: Statement = repeat(
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
        increase(values, row),
        increase(to, bytes),
      );
      return [
        when(i32.eq(get(lines), int(panel)), [whole, set(i, i32.remU(get(rows), int(lanes)))], [set(i, get(rows))]),
        when(get(i), [single]),
      ];
    },
  );

  return {
    element,
    panel,
    packColumns,
    rowsKernel,
    products,
    addPanel,
    hideLater,
    exponentials,
    divide,
    softmaxGradient,
    toRows,
    storeLines,
  };
}

/** Code that makes a panel of scores, masked, for the queries from `query` on, and turns them into exponentials. */
export function scorePanel(
  parts: AttentionParts,
  words: (
    name: 'keys' | 'dim' | 'dimBlock' | 'kRows' | 'qRow' | 'qAlong' | 'biased' | 'biasRow' | 'biasAlong' | 'causal',
  ) => I32,
  at: Readonly<Record<'k' | 'q' | 'bias' | 'query' | 'lines' | 'seen', Local<'i32'>>>,
  room: Readonly<Record<'queryPanel' | 'biasPanel' | 'scores', I32>>,
): Statement {
  const { packColumns, products, addPanel, hideLater, exponentials } = parts;
  const { k, q, bias, query, lines, seen } = at;
  const panelOf = (from: Local<'i32'>, along: I32, across: I32, depth: I32, to: I32): Statement =>
    packColumns.call(sum(get(from), product(get(query), across)), along, across, depth, get(lines), to, int(0), depth);
  return [
    panelOf(q, words('qAlong'), words('qRow'), words('dim'), room.queryPanel),
    products.call(get(k), words('keys'), room.queryPanel, room.scores, words('dim'), words('dimBlock'), get(seen)),
    when(words('biased'), [
      panelOf(bias, words('biasAlong'), words('biasRow'), get(seen), room.biasPanel),
      addPanel.call(room.scores, room.biasPanel, get(seen)),
    ]),
    when(words('causal'), [hideLater.call(room.scores, get(query), get(seen))]),
    exponentials.call(room.scores, get(seen), room.queryPanel),
  ];
}

/** Fills the rows of a panel from `from` up to `to` with zeros. */
export const clearRows = ({ element, panel }: AttentionParts, scores: I32, from: I32, to: I32): Statement => {
  const row = int(panel * element.bytes);
  return memoryFill(sum(scores, product(from, row)), int(0), product(i32.sub(to, from), row));
};
