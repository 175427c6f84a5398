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
import { i32, type Local, type Statement, select, v128, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import type { Element } from '../element.ts';
import type { Storage } from '../storage.ts';

/** Columns of B multiplied at once: their sums fill the vector registers. */
const columnsAtOnce = 4;
/** Vectors of products added up before their sum is added to the total. */
const blockVectors = 256;

/**
 * (a, aRow, b, bColumn, depth, columns, c, cRow, cColumn): `rows` rows of C, as dot products of contiguous rows of A with
 * contiguous columns of B.
 */
export function addDotProducts(module: ModuleBuilder, element: Element, { transpose }: Storage, rows: number) {
  const { bytes, lanes, zero } = element;
  const parameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;
  return module.function({ parameters }, ([a, aRow, b, bColumn, depth, columns, c, cRow, cColumn], scope) => {
    const { k, block, i, j } = integers(scope, 'k block i j');
    const columnPointers = range(columnsAtOnce).map(() => scope.local('i32'));
    const rowPointers = range(rows).map(() => scope.local('i32'));
    const right = columnPointers.map(() => scope.local('v128'));
    const left = scope.local('v128');
    const sums = rowPointers.map(() => columnPointers.map(() => scope.local('v128')));
    const totals = rowPointers.map(() => range(columnsAtOnce / lanes).map(() => scope.local('v128')));
    const at = (list: readonly Local<'i32'>[], n: number) => get(list[n] as Local<'i32'>);
    const steps = (load: Element['loadOne'], by: number): Statement => [
      right.map((value, n) => set(value, load(at(columnPointers, n)))),
      sums.map((row, r) => [
        set(left, load(at(rowPointers, r))),
        row.map((partial, n) =>
          set(partial, element.multiplyAdd(get(left), get(right[n] as Local<'v128'>), get(partial))),
        ),
      ]),
      [...rowPointers, ...columnPointers].map((pointer) => increase(pointer, by)),
    ];
    const last = i32.sub(get(columns), int(1));
    const column = (n: number) => i32.add(get(j), int(n));
    return forRange(
      j,
      get(columns),
      columnsAtOnce,
      // Columns past the end repeat the last one.
      columnPointers.map((pointer, n) =>
        set(pointer, sum(get(b), product(select(column(n), last, i32.ltU(column(n), get(columns))), get(bColumn)))),
      ),
      rowPointers.map((pointer, r) => set(pointer, sum(get(a), product(get(aRow), int(r))))),
      totals.flat().map((total) => set(total, zero)),
      forRange(
        k,
        get(depth),
        blockVectors * lanes,
        set(block, minimum(int(blockVectors * lanes), i32.sub(get(depth), get(k)))),
        sums.flat().map((partial) => set(partial, zero)),
        repeat(i, i32.divU(get(block), int(lanes)), steps(v128.load, 16)),
        repeat(i, i32.remU(get(block), int(lanes)), steps(element.loadOne, bytes)),
        totals.map((row, r) =>
          row.map((total, t) => {
            const partials = (sums[r] ?? []).slice(t * lanes, (t + 1) * lanes);
            return set(total, transpose(partials.map(get)).reduce(element.add, get(total)));
          }),
        ),
      ),
      range(columnsAtOnce).map((n) =>
        when(
          i32.ltU(column(n), get(columns)),
          totals.map((row, r) =>
            element.storeLane(
              sum(get(c), product(get(cRow), int(r)), product(column(n), get(cColumn))),
              get(row[Math.floor(n / lanes)] as Local<'v128'>),
              n % lanes,
            ),
          ),
        ),
      ),
    );
  });
}
