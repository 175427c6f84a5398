import type { Scalar } from '../../compiler/kernel.ts';
import type { DType } from '../../dtype.ts';
import { typeOf } from './shader.ts';

type Apply = Extract<Scalar, { kind: 'apply' }>;

const functions: Readonly<Record<string, string>> = {
  exp: 'exponential',
  expm1: 'exponentialMinusOne',
  log: 'logarithm',
  log1p: 'logarithmPlusOne',
  sin: 'sine',
  cos: 'cosine',
  tanh: 'hyperbolicTangent',
  sigmoid: 'logistic',
  softplus: 'softPlus',
  erf: 'errorFunction',
  pow: 'power',
  remainder: 'remainderOf',
  sqrt: 'sqrt',
  floor: 'floor',
  isNaN: 'isNotANumber',
  isFinite: 'isFiniteNumber',
  maximum: 'max',
  minimum: 'min',
};
const infix: Readonly<Record<string, string>> = { add: '+', sub: '-', mul: '*', div: '/', equal: '==', less: '<' };
const onTruths: Readonly<Record<string, string>> = { maximum: '||', minimum: '&&', equal: '==' };

/** What a half can hold of an f32. */
export const rounded = (dtype: DType, x: string): string =>
  dtype === 'f16' ? `roundF16(${x})` : dtype === 'bf16' ? `roundBf16(${x})` : x;

/** The code of an elementwise operator on operands that may be repeated. */
export function applyCode({ operator, inputs, word, dtype }: Apply, operands: readonly string[]): string {
  const [a, b, c, d] = operands as readonly [string, string, string, string];
  const from = (inputs[0] as Scalar).dtype;
  const type = typeOf(from);
  if (operator === 'where') return `select(${c}, ${b}, ${a})`;
  if (operator === 'threefry') return `threefry(${a}, ${b}, ${c}, ${d}).${word === 0 ? 'x' : 'y'}`;
  if (operator === 'cast') return castCode(from, dtype, a);
  if (type === 'bool') {
    const sign = onTruths[operator];
    if (sign === undefined) throw new Error(`webgpu: no code for ${operator} on bool`);
    return `(${a} ${sign} ${b})`;
  }
  if (operator === 'neg') {
    if (type === 'u32') return `(0u - ${a})`;
    return rounded(dtype, `(-${a})`);
  }
  if (operator === 'div' && type !== 'f32') return `${type === 'i32' ? 'divideI32' : 'divideU32'}(${a}, ${b})`;
  const sign = infix[operator];
  if (sign !== undefined) return rounded(dtype, `(${a} ${sign} ${b})`);
  return rounded(dtype, `${functions[operator]}(${operands.join(', ')})`);
}

/** Conversions as `roundTo` has them. */
export function castCode(from: DType, to: DType, x: string): string {
  const [source, target] = [typeOf(from), typeOf(to)];
  const converted = convert(source, target, x);
  return from === to || source === 'bool' ? converted : rounded(to, converted);
}

function convert(from: string, to: string, x: string): string {
  if (from === to) return x;
  switch (to) {
    case 'bool':
      // NaN is not zero either, but comparisons may not know it.
      return from === 'f32' ? `((bitcast<u32>(${x}) << 1u) != 0u)` : `(${x} != ${from}(0))`;
    case 'f32':
      if (from === 'u32') return `fromU32(${x})`;
      return from === 'bool' ? `select(0f, 1f, ${x})` : `f32(${x})`;
    case 'i32':
      if (from === 'bool') return `select(0, 1, ${x})`;
      return from === 'f32' ? `toI32(${x})` : `i32(min(${x}, 0x7fffffffu))`;
    default:
      if (from === 'bool') return `select(0u, 1u, ${x})`;
      return from === 'f32' ? `toU32(${x})` : `u32(max(${x}, 0))`;
  }
}
