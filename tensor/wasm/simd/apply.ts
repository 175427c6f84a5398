import type { Scalar } from '../../compiler/kernel.ts';
import type { DType } from '../../dtype.ts';
import { isHalf } from '../../dtype.ts';
import { f32x4, f64x2, i32, i32x4, local, select, type V128, v128 } from '../assembler/instructions.ts';
import type { Scope } from '../assembler/module.ts';
import { type LaneDType, laneDType, literalLanes, narrowMask, roundToHalf, widenMask } from './lanes.ts';
import { vectorMath, vectorPow, vectorRemainder } from './math/index.ts';
import { threefryLanes } from './threefry.ts';

type Apply = Extract<Scalar, { kind: 'apply' }>;

/** Stores a vector in a local, so that an expression can use it several times. */
function keep(scope: Scope, x: V128): { set: V128; get: V128 } {
  const variable = scope.local('v128');
  return { set: local.set(variable, x), get: local.get(variable) };
}

const floats = { f32: f32x4, f64: f64x2 } as const;

const unaryMath = new Set([
  'exp',
  'expm1',
  'log',
  'log1p',
  'sin',
  'cos',
  'tanh',
  'sigmoid',
  'softplus',
  'erf',
] as const);
type UnaryMath = typeof unaryMath extends Set<infer Name> ? Name : never;
const isUnaryMath = (operator: string): operator is UnaryMath => (unaryMath as ReadonlySet<string>).has(operator);

/** The code of an elementwise operator. Operands must be locals: their code may be written several times. */
export function applyLanes(
  scope: Scope,
  { operator, inputs, word, dtype }: Apply,
  operands: readonly V128[],
  lanes: 2 | 4,
): V128 {
  const [a, b, c, d] = operands as readonly [V128, V128, V128, V128];
  const from = laneDType((inputs[0] as Scalar).dtype);
  if (operator === 'where') {
    return v128.bitselect(b, c, laneDType(dtype) === 'f64' ? widenMask(a) : a);
  }
  if (operator === 'threefry') return threefryLanes(scope, [a, b, c, d], word);
  if (operator === 'cast') return castLanes(scope, inputs[0]?.dtype as DType, dtype, a);
  const result =
    from === 'f32' || from === 'f64'
      ? applyFloat(scope, operator, from, a, b)
      : applyInteger(scope, operator, from, a, b, lanes);
  return isHalf(dtype) ? round(scope, dtype, result) : result;
}

function round(scope: Scope, dtype: 'f16' | 'bf16', x: V128): V128 {
  const kept = keep(scope, x);
  return [kept.set, roundToHalf(dtype, kept.get)];
}

function applyFloat(scope: Scope, operator: Apply['operator'], type: 'f32' | 'f64', a: V128, b: V128): V128 {
  const v = floats[type];
  const mask = (test: V128): V128 => (type === 'f64' ? narrowMask(test) : test);
  if (isUnaryMath(operator)) return vectorMath[type][operator](scope, a);
  switch (operator) {
    case 'neg':
      return v.neg(a);
    case 'sqrt':
      return v.sqrt(a);
    case 'floor':
      return v.floor(a);
    case 'add':
      return v.add(a, b);
    case 'sub':
      return v.sub(a, b);
    case 'mul':
      return v.mul(a, b);
    case 'div':
      return v.div(a, b);
    case 'pow':
      return vectorPow[type](scope, a, b);
    case 'remainder':
      return vectorRemainder[type](scope, a, b);
    case 'maximum':
      return v.max(a, b);
    case 'minimum':
      return v.min(a, b);
    case 'equal':
      return mask(v.eq(a, b));
    case 'less':
      return mask(v.lt(a, b));
    case 'isNaN':
      return mask(v.ne(a, a));
    case 'isFinite':
      return mask(v.lt(v.abs(a), v.const(Number.POSITIVE_INFINITY)));
    default:
      throw new Error(`wasm: no code for ${operator} on ${type}`);
  }
}

function applyInteger(
  scope: Scope,
  operator: Apply['operator'],
  type: 'i32' | 'u32' | 'bool',
  a: V128,
  b: V128,
  lanes: 2 | 4,
): V128 {
  const signed = type === 'i32';
  switch (operator) {
    case 'neg':
      return i32x4.neg(a);
    case 'add':
      return i32x4.add(a, b);
    case 'sub':
      return i32x4.sub(a, b);
    case 'mul':
      return i32x4.mul(a, b);
    case 'div':
      return divideLanes(scope, signed, a, b, lanes);
    case 'maximum':
      return type === 'bool' ? v128.or(a, b) : (signed ? i32x4.maxS : i32x4.maxU)(a, b);
    case 'minimum':
      return type === 'bool' ? v128.and(a, b) : (signed ? i32x4.minS : i32x4.minU)(a, b);
    case 'equal':
      return i32x4.eq(a, b);
    case 'less':
      return (signed ? i32x4.ltS : i32x4.ltU)(a, b);
    default:
      throw new Error(`wasm: no code for ${operator} on ${type}`);
  }
}

/** Integer division, lane by lane. Division by 0 gives 0 and −2^31 / −1 wraps; the plain instruction traps on both. */
function divideLanes(scope: Scope, signed: boolean, a: V128, b: V128, lanes: 2 | 4): V128 {
  const dividend = scope.local('i32');
  const divisor = scope.local('i32');
  const [x, y] = [local.get(dividend), local.get(divisor)];
  const byZero = i32.eqz(y);
  // Where the divisor is 0 or −1, divides by 1 instead and drops the quotient.
  const byZeroOrMinusOne = i32.leU(i32.add(y, i32.const(1)), i32.const(1));
  const quotient = signed
    ? select(
        select(i32.const(0), i32.sub(i32.const(0), x), byZero),
        i32.divS(x, select(i32.const(1), y, byZeroOrMinusOne)),
        byZeroOrMinusOne,
      )
    : select(i32.const(0), i32.divU(x, select(i32.const(1), y, byZero)), byZero);
  let result: V128 = i32x4.const(0);
  for (let lane = 0; lane < lanes; lane++) {
    const read = [local.set(dividend, i32x4.extractLane(a, lane)), local.set(divisor, i32x4.extractLane(b, lane))];
    result = i32x4.replaceLane(result, lane, [read, quotient]);
  }
  return result;
}

/** Converts as `roundTo` does: floats to integers truncate and saturate, NaN becomes 0. */
export function castLanes(scope: Scope, from: DType, to: DType, x: V128): V128 {
  const [source, target] = [laneDType(from), laneDType(to)];
  const converted = convert(source, target, x);
  const narrows = isHalf(to) && from !== to && source !== 'bool';
  return narrows ? round(scope, to, converted) : converted;
}

function convert(from: LaneDType, to: LaneDType, x: V128): V128 {
  if (from === to) return x;
  if (from === 'bool') return v128.and(to === 'f64' ? widenMask(x) : x, literalLanes(to, 1));
  switch (to) {
    case 'bool': {
      const zero = literalLanes(from, 0);
      if (from === 'f64') return narrowMask(f64x2.ne(x, zero));
      return from === 'f32' ? f32x4.ne(x, zero) : v128.not(i32x4.eq(x, zero));
    }
    case 'f64':
      if (from === 'f32') return f64x2.promoteLowF32x4(x);
      return from === 'i32' ? f64x2.convertLowI32x4S(x) : f64x2.convertLowI32x4U(x);
    case 'f32':
      if (from === 'f64') return f32x4.demoteF64x2Zero(x);
      return from === 'i32' ? f32x4.convertI32x4S(x) : f32x4.convertI32x4U(x);
    case 'i32':
      if (from === 'f64') return i32x4.truncSatF64x2SZero(x);
      return from === 'f32' ? i32x4.truncSatF32x4S(x) : i32x4.minU(x, i32x4.const(0x7fffffff));
    case 'u32':
      if (from === 'f64') return i32x4.truncSatF64x2UZero(x);
      return from === 'f32' ? i32x4.truncSatF32x4U(x) : i32x4.maxS(x, i32x4.const(0));
  }
}
