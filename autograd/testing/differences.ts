/**
 * Central differences and their error.
 *
 * With D(h) = (φ(h) − φ(−h)) / 2h, Taylor's theorem gives D(h) = φ′ + h²/6·φ‴ + h⁴/120·φ⁗′ + …. Richardson's
 * extrapolation R = (4·D(h/2) − D(h)) / 3 removes the second term:
 *
 *     R = φ′ − h⁴/480·φ⁗′ + …
 *
 * If each value carries an absolute error of δ, that of R is at most (4·2δ/h + δ/h) / 3 = 3δ/h. For a function of
 * magnitude F that varies over lengths L, these are about F/L·(h/L)⁴/480 and 3·κ·ε·F/h, with ε the relative precision
 * of the arithmetic and κ the number of roundings that add up inside the function. h ~ ε^(1/5)·L balances them. This file
 * takes h = ε^(1/4)·max(1, |x|), somewhat smaller, because L is often smaller than |x| and because kinks nearby should stay
 * outside of the interval. So
 *
 *     atol = 1000·ε^(3/4) (times F; allows κ ≈ 300 roundings; 1.8e-9 in float64),
 *     rtol = ε^(1/2)      (times the gradient; allows L ≥ 20·h; 1.5e-8 in float64).
 *
 * Steps are powers of two, so that x ± h is exact where x is a multiple of 2^−52 of the power of two above it (short
 * fractions are); elsewhere rounding changes the step by less than one part in 2^38.
 */

/** Defaults that follow from the relative precision of the function's arithmetic. */
export interface Accuracy {
  /** The step for arguments of magnitude 1: a power of two. */
  readonly step: number;
  /** Multiplies the magnitude of the function's values. */
  readonly atol: number;
  /** Multiplies the magnitude of the gradient. */
  readonly rtol: number;
}

/** The step and tolerances for a relative precision. */
export function accuracyOf(precision: number): Accuracy {
  return {
    step: 2 ** Math.round(Math.log2(precision) / 4),
    atol: 1000 * precision ** 0.75,
    rtol: Math.sqrt(precision),
  };
}

/** A direction from x: the elements that move, the weight of each, and the step h. */
export interface Direction {
  readonly indices: ArrayLike<number>;
  readonly weights: Float64Array;
  readonly step: number;
}

/** The smallest power of two that is at least max(1, |x|). */
export const magnitudeOf = (x: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, Math.abs(x) || 0)));

/** x + h·d, x − h·d, x + h/2·d and x − h/2·d. */
export function displaced(x: Float64Array, { indices, weights, step }: Direction): Float64Array[] {
  return [step, -step, step / 2, -step / 2].map((distance) => {
    const point = x.slice();
    for (let i = 0; i < weights.length; i++) {
      const at = indices[i] as number;
      point[at] = (point[at] as number) + distance * (weights[i] as number);
    }
    return point;
  });
}

/** The derivative along a direction, from the values at its displaced points. */
export function extrapolated(values: readonly number[], step: number): number {
  const [far, farBack, near, nearBack] = values as [number, number, number, number];
  return (4 * ((near - nearBack) / step) - (far - farBack) / (2 * step)) / 3;
}
