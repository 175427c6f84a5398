import { f32x4, f64x2, i32x4, i64x2, type V128, v128 } from '../../assembler/instructions.ts';
import type { Steps } from './steps.ts';

/** The instructions that f32x4 and f64x2 share. */
export type FloatLanes = Pick<
  typeof f32x4,
  'const' | 'eq' | 'lt' | 'gt' | 'le' | 'ge' | 'ne' | 'floor' | 'abs' | 'neg' | 'add' | 'sub' | 'mul' | 'div'
> &
  Pick<typeof f32x4, 'pmin' | 'pmax'>;

/** A floating-point format: instructions on its lanes, as floats and as integers with the same bits. */
export interface Format {
  readonly float: FloatLanes;
  readonly integer: Pick<typeof i32x4, 'add' | 'sub' | 'shl' | 'shrU'>;
  /** An integer in every lane. */
  readonly bits: (value: bigint) => V128;
  /** Bits of a lane. */
  readonly width: number;
  /** Bits of the significand that are stored: 23 or 52. */
  readonly fractionBits: number;
  /** Bias of the exponent. */
  readonly bias: number;
  /** The smallest and the largest normal number. */
  readonly minNormal: number;
  readonly maxFinite: number;
  /** ln 2 in two parts. The first has few enough bits for its product with an exponent to be exact. */
  readonly ln2: readonly [high: number, low: number];
}

export const single: Format = {
  float: f32x4,
  integer: i32x4,
  bits: (value) => i32x4.const(Number(BigInt.asIntN(32, value))),
  width: 32,
  fractionBits: 23,
  bias: 127,
  minNormal: 2 ** -126,
  maxFinite: (2 - 2 ** -23) * 2 ** 127,
  ln2: [0.693145751953125, 1.42860682e-6],
};

export const double: Format = {
  float: f64x2,
  integer: i64x2,
  bits: (value) => i64x2.const(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))),
  width: 64,
  fractionBits: 52,
  bias: 1023,
  minNormal: 2 ** -1022,
  maxFinite: Number.MAX_VALUE,
  ln2: [0.69314718036912382, 1.9082149292705877e-10],
};

/**
 * The constant of rounding by addition: the lowest bits of x + constant are the integer nearest to x, plus `offset`, and
 * subtracting the constant again gives that integer as a float. Valid for |x| below 2^21 (f32) or 2^50 (f64).
 */
export const roundingConstant = (format: Format, offset = 0): number => 1.5 * 2 ** format.fractionBits + offset;

/** The sign bits of x. */
export const signOf = ({ float }: Format, x: V128): V128 => v128.and(x, float.const(-0));

/**
 * c[0] + c[1]·x + c[2]·x² + … for a bound x, by Estrin's scheme: pairs, then pairs of pairs, which a processor computes in
 * parallel.
 */
export function polynomial({ float }: Format, steps: Steps, x: V128, coefficients: readonly number[]): V128 {
  const combine = (terms: readonly V128[], power: V128): V128 => {
    const pairs = terms.flatMap((term, i) => {
      if (i % 2 === 1) return [];
      const next = terms[i + 1];
      return [next === undefined ? term : float.add(float.mul(next, power), term)];
    });
    if (pairs.length === 1) return pairs[0] as V128;
    return combine(pairs, steps.bind(float.mul(power, power)));
  };
  return combine(coefficients.map(float.const), x);
}
