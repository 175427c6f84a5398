import { erf } from '../../../tensor/reference/erf.ts';
import { brIf, i32, type Local, local, loop, type V128, v128 } from '../../../tensor/wasm/assembler/instructions.ts';
import { ModuleBuilder, type Scope } from '../../../tensor/wasm/assembler/module.ts';
import type { VectorFunctionName } from '../../../tensor/wasm/simd/math/index.ts';

const pages = 192;
const region = (pages / 3) * 65536;

type Kernel = (x: number, y: number, out: number, bytes: number) => void;
export type Applied = <T extends Float32Array | Float64Array>(a: T, b?: T) => T;

/** Applies an inlined vector function to arrays. Their length is a multiple of the number of lanes, 4 MiB at most. */
export function compile(build: (scope: Scope, a: V128, b: V128) => V128): Applied {
  const module = new ModuleBuilder({ initial: pages });
  module.function({ parameters: ['i32', 'i32', 'i32', 'i32'], name: 'apply' }, ([a, b, out, bytes], scope) => {
    const at = scope.local('i32');
    const element = (base: Local<'i32'>) => i32.add(local.get(base), local.get(at));
    const value = build(scope, v128.load(element(a)), v128.load(element(b)));
    return loop(
      v128.store(element(out), value),
      local.set(at, i32.add(local.get(at), i32.const(16))),
      brIf(0, i32.ltU(local.get(at), local.get(bytes))),
    );
  });
  const memory = new WebAssembly.Memory({ initial: pages });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes()), { env: { memory } });
  const apply = instance.exports.apply as Kernel;
  return <T extends Float32Array | Float64Array>(a: T, b: T = a): T => {
    const Values = a.constructor as new (source: ArrayBuffer | T, offset?: number, length?: number) => T;
    new Values(memory.buffer, 0, a.length).set(a);
    new Values(memory.buffer, region, b.length).set(b);
    apply(0, region, 2 * region, a.byteLength);
    return new Values(new Values(memory.buffer, 2 * region, a.length));
  };
}

const exponentOf = (x: number): number => {
  const estimate = Math.floor(Math.log2(x));
  return 2 ** estimate > x ? estimate - 1 : 2 ** (estimate + 1) <= x ? estimate + 1 : estimate;
};

/** How far `actual` is from `exact` in units of a format; ∞ where only one of them is special, or the zero's sign differs. */
function error(actual: number, exact: number, rounded: number, fractionBits: number, minExponent: number): number {
  if (Object.is(actual, rounded) && (exact !== 0 || Object.is(actual, exact))) return 0;
  if (Number.isNaN(actual) || Number.isNaN(exact)) return Number.POSITIVE_INFINITY;
  if (!Number.isFinite(actual) || !Number.isFinite(rounded)) return actual === rounded ? 0 : Number.POSITIVE_INFINITY;
  if (exact === 0) return Number.POSITIVE_INFINITY;
  const exponent = Math.max(exponentOf(Math.abs(exact)), minExponent);
  return Math.abs(actual - exact) / 2 ** (exponent - fractionBits);
}

/** The error of an f32, in units in the last place of the exact result; 0 where no f32 is nearer. */
export const error32 = (actual: number, exact: number): number => error(actual, exact, Math.fround(exact), 23, -126);

/** The difference of an f64 from another. */
export const error64 = (actual: number, exact: number): number => error(actual, exact, exact, 52, -1022);

const sigmoid = (x: number): number => {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
};

/** What f64 arithmetic makes of the functions. */
export const expected: Readonly<Record<VectorFunctionName, (x: number) => number>> = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  tanh: Math.tanh,
  sigmoid,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  erf,
  sin: Math.sin,
  cos: Math.cos,
};

/** IEEE 754 has 1^b = 1 for every b and (−1)^±∞ = 1, where JavaScript says NaN. */
export const expectedPow = (a: number, b: number): number =>
  a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b;

/** Zeros, ends of the range, infinities, NaN, and ordinary numbers among them, so that lanes differ. */
export const specialValues = (minDenormal: number, minNormal: number, maxFinite: number): number[] => {
  const positive = [0, minDenormal, minDenormal * 5, minNormal, 2 ** -30, 0.5, 1, 1.5, 2, 3, 7.25, 1001, 2 ** 40];
  const all = [...positive, maxFinite, Number.POSITIVE_INFINITY].flatMap((x) => [x, -x]);
  return [...all, Number.NaN, 0.25];
};

/** Numbers in [0, 1) from a linear congruential generator, the same in every run. */
export function randomNumbers(): () => number {
  let state = 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return () => next() + next() / 2 ** 32;
}
