import { get, increase, int, range, repeat, set } from '../assembler/control.ts';
import { type I32, i32, type Local, type Statement, type V128, v128, when } from '../assembler/instructions.ts';
import type { ModuleBuilder, Scope, TypedFunction } from '../assembler/module.ts';
import type { Element } from './element.ts';

/**
 * The register block: 4 rows by 2 vectors. V8 keeps the loads of a step in order, before all of its arithmetic, so the
 * sums, the vectors of B *and a broadcast of A for every row* are alive together: 8 + 2 + 4 of the 15 vector registers
 * that it uses on x64. Anything larger (5×2, 6×2, 4×3, or two steps unrolled) spills and runs at 0.5–0.7 of the rate.
 */
export const blockRows = 4;
export const blockVectors = 2;
/** With three rows, three vectors fit as well: 9 + 3 + 3. Two would leave the additions waiting for each other. */
export const wideRows = 3;
export const wideVectors = 3;

/** Columns of a packed panel of B. */
export const blockColumns = ({ lanes }: Pick<Element, 'lanes'>): number => blockVectors * lanes;

type I32Local = Local<'i32'>;

/** What a register block reads and writes. */
interface BlockPlaces {
  /** Address of packed rows; afterwards the address behind them. */
  readonly a: I32Local;
  /** Address of the block's first row of C; afterwards of the row below the block. Rows are cRow bytes apart. */
  readonly c: I32Local;
  readonly cRow: I32Local;
  readonly depth: I32Local;
  /** Adds to C if not 0; overwrites C otherwise. */
  readonly accumulate: I32Local;
  /** Code before the first step, the vectors of B in a step, and code after each step. */
  readonly start: Statement;
  readonly vector: (index: number) => V128;
  readonly next: Statement;
}

/** A block of `rows` rows by `vectors` vectors. */
function registerBlock(
  element: Element,
  rows: number,
  scope: Scope,
  places: BlockPlaces,
  vectors = blockVectors,
): Statement {
  const { a, c, cRow, depth, accumulate, start, vector, next } = places;
  const sums = range(rows).map(() => range(vectors).map(() => scope.local('v128')));
  const right = range(vectors).map(() => scope.local('v128'));
  const left = scope.local('v128');
  const count = scope.local('i32');
  const toC = (value: (sum: Local<'v128'>, v: number) => V128): Statement =>
    sums.map((row) => [row.map((sum, v) => v128.store(get(c), value(sum, v), v * 16)), increase(c, get(cRow))]);
  return [
    sums.flat().map((sum) => set(sum, element.zero)),
    start,
    repeat(
      count,
      get(depth),
      right.map((value, v) => set(value, vector(v))),
      sums.map((row, r) => [
        set(left, element.loadSplat(get(a), r * element.bytes)),
        row.map((sum, v) => set(sum, element.multiplyAdd(get(left), get(right[v] as Local<'v128'>), get(sum)))),
      ]),
      increase(a, rows * element.bytes),
      next,
    ),
    when(
      get(accumulate),
      [toC((sum, v) => element.add(v128.load(get(c), v * 16), get(sum)))],
      [toC((sum) => get(sum))],
    ),
  ];
}

/** Runs statement number `number`, counted from 1. */
const choose = (number: I32, statements: readonly Statement[]): Statement =>
  statements.map((statement, i) => when(i32.eq(number, int(i + 1)), [statement]));

const rowsParameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

/**
 * (a, b, c, cRow, depth, rows, accumulate): c[rows, panel] = or += a·b, where a holds packed panels of 4 rows (the last
 * one may have fewer) and b one packed panel. Rows of c are cRow bytes apart.
 */
export type RowsKernel = TypedFunction<typeof rowsParameters, undefined>;

export function addRowsKernel(module: ModuleBuilder, element: Element, name: string): RowsKernel {
  const parameters = rowsParameters;
  const block = (
    rows: number,
    scope: Scope,
    [a, b, c, cRow, depth, , accumulate]: readonly [
      I32Local,
      I32Local,
      I32Local,
      I32Local,
      I32Local,
      I32Local,
      I32Local,
    ],
  ): Statement => {
    const from = scope.local('i32');
    return registerBlock(element, rows, scope, {
      ...{ a, c, cRow, depth, accumulate },
      start: set(from, get(b)),
      vector: (v) => v128.load(get(from), v * 16),
      next: increase(from, blockVectors * 16),
    });
  };
  const tails = range(blockRows - 1).map((i) => module.function({ parameters }, (p, scope) => block(i + 1, scope, p)));
  return module.function({ parameters, name }, (p, scope) => {
    const [a, b, c, cRow, depth, rows, accumulate] = p;
    const panel = scope.local('i32');
    const rest = scope.local('i32');
    const values = [get(a), get(b), get(c), get(cRow), get(depth), get(rest), get(accumulate)] as const;
    return [
      repeat(panel, i32.divU(get(rows), int(blockRows)), block(blockRows, scope, p)),
      set(rest, i32.remU(get(rows), int(blockRows))),
      choose(
        get(rest),
        tails.map((tail) => tail.call(...values)),
      ),
    ];
  });
}

const directParameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

/**
 * (a, x0, x1, x2, offsets, c, cRow, depth, rows, accumulate): the same for at most 4 rows and an unpacked B: vector v of
 * step k is at `x${v} + offsets[k]`. There are two vectors or, with `wide` and at most 3 rows, three.
 */
export type DirectKernel = TypedFunction<typeof directParameters, undefined>;

export function addDirectKernel(module: ModuleBuilder, element: Element, wide: boolean): DirectKernel {
  const parameters = directParameters;
  const blocks = range(wide ? wideRows : blockRows).map((i) =>
    module.function({ parameters }, ([a, x0, x1, x2, offsets, c, cRow, depth, , accumulate], scope) => {
      const from = scope.local('i32');
      const sources = [x0, x1, x2] as const;
      const places: BlockPlaces = {
        ...{ a, c, cRow, depth, accumulate },
        start: set(from, get(offsets)),
        vector: (v) => v128.load(i32.add(get(sources[v] as I32Local), i32.load(get(from)))),
        next: increase(from, 4),
      };
      return registerBlock(element, i + 1, scope, places, wide ? wideVectors : blockVectors);
    }),
  );
  return module.function({ parameters }, ([a, x0, x1, x2, offsets, c, cRow, depth, rows, accumulate]) => {
    const values = [a, x0, x1, x2, offsets, c, cRow, depth, rows, accumulate].map(get);
    return choose(
      get(rows),
      blocks.map((block) => block.call(...(values as unknown as Parameters<DirectKernel['call']>))),
    );
  });
}
