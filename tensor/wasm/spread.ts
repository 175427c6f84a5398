import type { LoopKernel, Scalar, Stage } from '../compiler/kernel.ts';
import type { Variable } from '../compiler/position.ts';
import { allParts } from '../compiler/scalars.ts';
import { f32x4, f64x2, i8x16, type Local, local, type Statement, type V128, v128 } from './instructions.ts';
import { type Count, firstLane, upperHalf } from './lanes.ts';
import type { Scope } from './module.ts';
import { loopsOf } from './scalarCode.ts';

/** A sum of (of − about)² whose `about` is the same for a whole row, and known only when the row has been walked. */
export interface Spread {
  readonly of: Scalar;
  readonly about: Scalar;
  /** A sum of `of` itself, which follows too. */
  readonly sum: Stage | undefined;
}

/** The sums of squares, as a variance has one, that the walk before their own can take along. */
export function spreadsIn(kernel: LoopKernel): ReadonlyMap<Stage, Spread> {
  const made = new Set(kernel.stages.map(({ value }) => value));
  const inner = new Set(kernel.inner);
  const known = new Map<Scalar, ReadonlySet<Variable>>();
  /** Whether it can be computed on any walk. */
  const isGiven = (scalar: Scalar): boolean =>
    [...allParts(scalar)].every(
      (part) => part.kind !== 'stage' && !((part.kind === 'load' || part.kind === 'lookup') && made.has(part.from)),
    );
  const isSteady = (scalar: Scalar): boolean =>
    ![...loopsOf(scalar, known)].some((loop) => inner.has(loop)) &&
    [...allParts(scalar)].every((part) => part.kind !== 'stage' || kernel.stages[part.stage]?.over === 'outer');
  return new Map(
    kernel.stages.flatMap((stage) => {
      const square = stage.scalar;
      if (stage.kind !== 'sum' || stage.pass < 1 || stage.value.dtype !== 'f32') return [];
      if (square.kind !== 'apply' || square.operator !== 'mul' || square.inputs[0] !== square.inputs[1]) return [];
      const [difference] = square.inputs as readonly [Scalar, Scalar];
      if (difference.kind !== 'apply' || difference.operator !== 'sub') return [];
      const [of, about] = difference.inputs as readonly [Scalar, Scalar];
      if (!isGiven(of) || !isSteady(about)) return [];
      const sum = kernel.stages.find(
        ({ kind, pass, scalar, value }) =>
          kind === 'sum' && pass === stage.pass - 1 && scalar === of && value.dtype === 'f32',
      );
      return [[stage, { of, about, sum }]];
    }),
  );
}

/** A vector of f32 as f64: its lower two lanes and its upper two. */
type Pair = readonly [Local<'v128'>, Local<'v128'>];

/**
 * Σ(x − r)² from one walk that does not know r: with d = x − c for any c it is Σd² − (r − c)·(2·Σd − n·(r − c)). Both sums
 * are in f64, which holds the squares of differences of f32 nearly exactly, and c is the row's first element, so that
 * little cancels even where the mean is large beside the spread (Chan, Golub & LeVeque 1983).
 */
export class SpreadAccumulator {
  readonly #apart: boolean;
  /** c. */
  readonly #origin: Pair;
  /** Σd and Σd². */
  readonly #sums: Pair;
  readonly #squares: Pair;
  readonly #difference: Local<'v128'>;

  /** `apart`: whether lanes are rows of their own. */
  constructor(scope: Scope, apart: boolean) {
    this.#apart = apart;
    this.#origin = [scope.local('v128'), scope.local('v128')];
    this.#sums = [scope.local('v128'), scope.local('v128')];
    this.#squares = [scope.local('v128'), scope.local('v128')];
    this.#difference = scope.local('v128');
  }

  /** Begins a row whose first element is in the first lane, or where lanes are apart, rows of which each has its own. */
  start(first: V128): Statement {
    const origin = halves.map((half) => {
      const own = promoted(first, this.#apart ? half : 0);
      return local.set(this.#origin[half], this.#apart ? own : f64x2.splat(f64x2.extractLane(own, 0)));
    });
    return [origin, [...this.#sums, ...this.#squares].map((one) => local.set(one, f64x2.const(0)))];
  }

  /** Takes a vector in, or with count 1 its first lane. `value` is used twice. */
  add(value: V128, count: Count): Statement {
    const difference = local.get(this.#difference);
    return halves.slice(0, count === 1 ? 1 : 2).map((half) => {
      const [sum, squares] = [this.#sums[half], this.#squares[half]];
      const d = f64x2.sub(promoted(value, half), local.get(this.#origin[half]));
      const taken = count === 1 && !this.#apart ? v128.and(d, firstLane('f64')) : d;
      return [
        local.set(this.#difference, taken),
        local.set(sum, f64x2.add(local.get(sum), difference)),
        local.set(squares, f64x2.add(local.get(squares), f64x2.mul(difference, difference))),
      ];
    });
  }

  /** To be done when everything is in: joins the lanes of a row. */
  join(): Statement {
    if (this.#apart) return [];
    return [this.#sums, this.#squares].map(([lower, upper]) => {
      const total = local.get(lower);
      return [
        increase(lower, local.get(upper)),
        increase(lower, i8x16.shuffle(total, total, swapped)),
        local.set(upper, total),
      ];
    });
  }

  /** Σx of `count` numbers x, in every lane, or where lanes are apart, each its own. */
  sum(count: number): V128 {
    return narrowed((half) =>
      f64x2.add(f64x2.mul(f64x2.const(count), local.get(this.#origin[half])), local.get(this.#sums[half])),
    );
  }

  /** Σ(x − about)² of them. `about` is used twice. */
  result(about: V128, count: number): V128 {
    const shift = local.get(this.#difference);
    return narrowed((half) => {
      const [sum, squares] = [local.get(this.#sums[half]), local.get(this.#squares[half])];
      const rest = f64x2.mul(shift, f64x2.sub(f64x2.add(sum, sum), f64x2.mul(f64x2.const(count), shift)));
      return [
        local.set(this.#difference, f64x2.sub(promoted(about, half), local.get(this.#origin[half]))),
        // Roundings could leave a little less than nothing.
        f64x2.max(f64x2.sub(squares, rest), f64x2.const(0)),
      ];
    });
  }
}

const halves = [0, 1] as const;

const increase = (total: Local<'v128'>, by: V128): Statement => local.set(total, f64x2.add(local.get(total), by));

/** The lower or the upper lanes as f64. */
const promoted = (x: V128, half: 0 | 1): V128 => f64x2.promoteLowF32x4(half === 0 ? x : upperHalf(x));

/** The lower and the upper lanes in f64 as one vector of f32. */
const narrowed = (wide: (half: 0 | 1) => V128): V128 => {
  const [lower, upper] = [f32x4.demoteF64x2Zero(wide(0)), f32x4.demoteF64x2Zero(wide(1))];
  return i8x16.shuffle(lower, upper, joined);
};

/** The lanes of a vector of f64 the other way round. */
const swapped = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];
/** The lower halves of two vectors, one after the other. */
const joined = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
