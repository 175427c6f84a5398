import { isFloat, roundTo } from '../dtype.ts';
import type { BinaryPrimitive, Primitive, TestPrimitive, UnaryPrimitive } from '../primitives.ts';
import { erf } from './erf.ts';
import { type Call, input, type Kernel, type Kernels } from './kernel.ts';
import { threefry } from './threefry.ts';

const unary = <P extends Primitive>(f: (x: number) => number): Kernel<P> => {
  return (call) => {
    const { values: x } = input(call, 0);
    for (let i = 0; i < call.out.length; i++) call.out[i] = f(x[i] as number);
  };
};

const binary = <P extends Primitive>(f: (a: number, b: number) => number): Kernel<P> => {
  return (call) => {
    const { values: a } = input(call, 0);
    const { values: b } = input(call, 1);
    for (let i = 0; i < call.out.length; i++) call.out[i] = f(a[i] as number, b[i] as number);
  };
};

/** Products of integers exceed 2^53, so they need the multiplication that wraps. */
const multiply: Kernel<'mul'> = (call) =>
  (isFloat(call.output.dtype) ? binary<'mul'>((a, b) => a * b) : binary<'mul'>(Math.imul))(call);

const sigmoid = (x: number): number => {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
};

/** IEEE 754 has 1^y = 1 for every y and (−1)^±∞ = 1, where JavaScript says NaN. */
const power = (a: number, b: number): number =>
  a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b;

/** JavaScript's % is exact and takes the sign of a; Python's takes that of b. */
function remainder(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 === b < 0 ? rest : rest + b;
}

function where(call: Call<'where'>): void {
  const [condition, a, b] = [0, 1, 2].map((i) => input(call, i).values) as [Float32Array, Float32Array, Float32Array];
  for (let i = 0; i < call.out.length; i++) call.out[i] = (condition[i] ? a[i] : b[i]) as number;
}

function cast(call: Call<'cast'>): void {
  const { values: x } = input(call, 0);
  const { dtype } = call.output;
  for (let i = 0; i < call.out.length; i++) call.out[i] = roundTo(dtype, x[i] as number);
}

function threefryWord(call: Call<'threefry'>): void {
  const [key0, key1, counter0, counter1] = [0, 1, 2, 3].map((i) => input(call, i).values) as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  for (let i = 0; i < call.out.length; i++) {
    const words = threefry(key0[i] as number, key1[i] as number, counter0[i] as number, counter1[i] as number);
    call.out[i] = words[call.attributes.word];
  }
}

/** Integers wrap because stores to Int32Array and Uint32Array do; so do their division's truncation and its zeros. */
export const elementwise: Kernels<UnaryPrimitive | BinaryPrimitive | TestPrimitive | 'where' | 'cast' | 'threefry'> = {
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  expm1: unary(Math.expm1),
  log: unary(Math.log),
  log1p: unary(Math.log1p),
  sqrt: unary(Math.sqrt),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  tanh: unary(Math.tanh),
  sigmoid: unary(sigmoid),
  softplus: unary((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  erf: unary(erf),
  floor: unary(Math.floor),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: multiply,
  div: binary((a, b) => a / b),
  pow: binary(power),
  remainder: binary(remainder),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  equal: binary((a, b) => Number(a === b)),
  less: binary((a, b) => Number(a < b)),
  isNaN: unary((x) => Number(Number.isNaN(x))),
  isFinite: unary((x) => Number(Number.isFinite(x))),
  where,
  cast,
  threefry: threefryWord,
};
