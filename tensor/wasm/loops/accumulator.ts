import {
  f32x4,
  f64,
  f64x2,
  type I32,
  i8x16,
  i32x4,
  type Local,
  local,
  type Statement,
  type V128,
  v128,
} from '../assembler/instructions.ts';
import type { Scope } from '../assembler/module.ts';
import { type Count, firstLane, type LaneDType, literalLanes, upperHalf } from '../simd/lanes.ts';

/** total += x; the rounding error of the addition goes to `rest` (Knuth's two-sum). */
function compensated(
  total: Local<'v128'>,
  rest: Local<'v128'>,
  x: V128,
  [sum, part]: readonly [Local<'v128'>, Local<'v128'>],
): Statement {
  const [s, a, p] = [local.get(sum), local.get(total), local.get(part)];
  return [
    local.set(sum, f64x2.add(a, x)),
    local.set(part, f64x2.sub(s, a)),
    local.set(rest, f64x2.add(local.get(rest), f64x2.add(f64x2.sub(a, f64x2.sub(s, p)), f64x2.sub(x, p)))),
    local.set(total, s),
  ];
}

/** Adds the rest to the total, except where it is NaN, as it is beside infinite totals. */
function withRest(total: Local<'v128'>, rest: V128): Statement {
  const a = local.get(total);
  return local.set(total, v128.bitselect(f64x2.add(a, rest), a, f64x2.eq(rest, rest)));
}

/** The neutral element: 0 for sums, the smallest value for maxima. */
function identity(kind: 'sum' | 'max', dtype: LaneDType): number {
  if (kind === 'sum' || dtype === 'u32' || dtype === 'bool') return 0;
  return dtype === 'i32' ? -2147483648 : Number.NEGATIVE_INFINITY;
}

/** A local of an accumulator, and where in memory it is saved: a plane holds elements of `bytes` each, side by side. */
interface Part {
  readonly local: Local<'v128'>;
  readonly plane: number;
  readonly offset: number;
  readonly bytes: 4 | 8;
}

/** Bytes of an element in each plane that saves a reduction. */
export function planesOf(kind: 'sum' | 'max', dtype: LaneDType): readonly number[] {
  if (kind === 'sum' && dtype === 'f64') return [8, 8];
  return dtype === 'f64' || (kind === 'sum' && dtype === 'f32') ? [8] : [4];
}

/**
 * The running result of a reduction, a vector wide. Sums of f32 are added up in f64, in two vectors, and rounded once;
 * sums of f64 are compensated (Neumaier 1974). So their errors do not grow with the number of terms.
 */
export class Accumulator {
  readonly #kind: 'sum' | 'max';
  readonly #dtype: LaneDType;
  readonly #lanes: 2 | 4;
  /** True where each lane is a result of its own, false where the lanes are parts of one. */
  readonly #lanesApart: boolean;
  readonly #total: Local<'v128'>;
  /** For sums of f32, the sums of the upper two lanes; for sums of f64, the rounding errors. */
  readonly #second: Local<'v128'> | undefined;
  readonly #work: readonly [Local<'v128'>, Local<'v128'>] | undefined;

  constructor(scope: Scope, kind: 'sum' | 'max', dtype: LaneDType, lanes: 2 | 4, lanesApart: boolean) {
    this.#kind = kind;
    this.#dtype = dtype;
    this.#lanes = lanes;
    this.#lanesApart = lanesApart;
    this.#total = scope.local('v128');
    this.#second = (this.#isSingleSum && lanes === 4) || this.#isDoubleSum ? scope.local('v128') : undefined;
    this.#work = this.#isDoubleSum ? [scope.local('v128'), scope.local('v128')] : undefined;
  }

  /** True for f32, which is added up in f64. */
  get #isSingleSum(): boolean {
    return this.#kind === 'sum' && this.#dtype === 'f32';
  }

  get #isDoubleSum(): boolean {
    return this.#kind === 'sum' && this.#dtype === 'f64';
  }

  start(): Statement {
    const empty = literalLanes(this.#dtype, identity(this.#kind, this.#dtype));
    return [local.set(this.#total, empty), this.#second === undefined ? [] : local.set(this.#second, empty)];
  }

  /** Adds a vector, or with count 1 its first lane. The code of `value` is written twice. */
  add(value: V128, count: Count): Statement {
    const empty = literalLanes(this.#dtype, identity(this.#kind, this.#dtype));
    const added = count === 1 && !this.#lanesApart ? v128.bitselect(value, empty, firstLane(this.#dtype)) : value;
    if (this.#work !== undefined && this.#second !== undefined)
      return compensated(this.#total, this.#second, added, this.#work);
    if (!this.#isSingleSum) return local.set(this.#total, this.#combine(local.get(this.#total), added));
    const addTo = (total: Local<'v128'>, part: V128): Statement =>
      local.set(total, f64x2.add(local.get(total), f64x2.promoteLowF32x4(part)));
    const lower = addTo(this.#total, added);
    return this.#second === undefined || count === 1 ? lower : [lower, addTo(this.#second, upperHalf(value))];
  }

  /** Adds another accumulator of the same kind. */
  addAll(other: Accumulator): Statement {
    return this.#merge(local.get(other.#total), other.#second === undefined ? undefined : local.get(other.#second));
  }

  /** The code of both values is written several times. */
  #merge(total: V128, second: V128 | undefined): Statement {
    const add = (a: Local<'v128'>, b: V128): Statement => local.set(a, f64x2.add(local.get(a), b));
    if (this.#work !== undefined && this.#second !== undefined)
      return [compensated(this.#total, this.#second, total, this.#work), add(this.#second, second as V128)];
    if (!this.#isSingleSum) return local.set(this.#total, this.#combine(local.get(this.#total), total));
    return [add(this.#total, total), this.#second === undefined ? [] : add(this.#second, second as V128)];
  }

  get #parts(): readonly Part[] {
    const [bytes] = planesOf(this.#kind, this.#dtype) as readonly [4 | 8];
    const total = { local: this.#total, plane: 0, offset: 0, bytes };
    if (this.#second === undefined) return [total];
    const place = this.#isDoubleSum ? { plane: 1, offset: 0 } : { plane: 0, offset: 16 };
    return [total, { local: this.#second, bytes, ...place }];
  }

  /** Saves `count` elements at the addresses, one for each plane. */
  save(addresses: readonly I32[], count: Count): Statement {
    return this.#parts.map(({ local: variable, plane, offset, bytes }) => {
      const [address, value, size] = [addresses[plane] as I32, local.get(variable), count * bytes - offset];
      if (size <= 0) return [];
      if (size >= 16) return v128.store(address, value, offset);
      return (size === 8 ? v128.store64Lane : v128.store32Lane)(address, value, 0, offset);
    });
  }

  /** Adds `count` elements saved at the addresses. */
  addSaved(addresses: readonly I32[], count: Count): Statement {
    const [total, second] = this.#parts.map(({ plane, offset, bytes }): V128 => {
      const [address, size] = [addresses[plane] as I32, count * bytes - offset];
      if (size <= 0) return f64x2.const(0);
      if (size >= 16) return v128.load(address, offset);
      return (size === 8 ? v128.load64Zero : v128.load32Zero)(address, offset);
    });
    return this.#merge(total as V128, second);
  }

  #combine(a: V128, b: V128): V128 {
    switch (this.#dtype) {
      case 'f32':
        return f32x4.max(a, b);
      case 'f64':
        return this.#kind === 'sum' ? f64x2.add(a, b) : f64x2.max(a, b);
      case 'i32':
        return this.#kind === 'sum' ? i32x4.add(a, b) : i32x4.maxS(a, b);
      case 'u32':
        return this.#kind === 'sum' ? i32x4.add(a, b) : i32x4.maxU(a, b);
      case 'bool':
        return v128.or(a, b);
    }
  }

  /** The result in every lane or, where each lane is a result, all results. */
  result(): { code: Statement; value: V128 } {
    const total = local.get(this.#total);
    if (this.#isSingleSum) return this.#singleSum(total);
    const finish =
      this.#isDoubleSum && this.#second !== undefined ? withRest(this.#total, local.get(this.#second)) : [];
    if (this.#lanesApart) return { code: finish, value: total };
    // Folds the upper lanes onto the lower ones until one is left.
    const folds = this.#dtype === 'f64' || this.#lanes === 2 ? [1] : [2, 1];
    const words = this.#dtype === 'f64' ? 2 : 1;
    const code = folds.map((distance): Statement => {
      const bytes = Array.from({ length: 16 }, (_, byte) => (byte + distance * words * 4) % 16);
      const rotated = (x: V128): V128 => i8x16.shuffle(x, x, bytes);
      if (this.#work === undefined || this.#second === undefined)
        return local.set(this.#total, this.#combine(total, rotated(total)));
      // Rounding errors are added last, since lanes may cancel.
      const rest = local.get(this.#second);
      return [
        local.set(this.#second, f64x2.add(rest, rotated(rest))),
        compensated(this.#total, this.#second, rotated(total), this.#work),
      ];
    });
    code.push(finish);
    const value =
      this.#dtype === 'f64' ? f64x2.splat(f64x2.extractLane(total, 0)) : i32x4.splat(i32x4.extractLane(total, 0));
    return { code, value };
  }

  #singleSum(total: V128): { code: Statement; value: V128 } {
    const narrow = f32x4.demoteF64x2Zero;
    const upper = this.#second === undefined ? undefined : local.get(this.#second);
    if (this.#lanesApart) {
      const joined = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
      return {
        code: [],
        value: upper === undefined ? narrow(total) : i8x16.shuffle(narrow(total), narrow(upper), joined),
      };
    }
    const code = upper === undefined ? [] : local.set(this.#total, f64x2.add(total, upper));
    const sum = narrow(f64x2.splat(f64.add(f64x2.extractLane(total, 0), f64x2.extractLane(total, 1))));
    return { code, value: i32x4.splat(i32x4.extractLane(sum, 0)) };
  }
}
