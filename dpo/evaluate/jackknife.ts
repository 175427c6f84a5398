/**
 * The variance of a statistic from its values with one of g groups of observations left out at a time (Tukey 1958):
 * (g − 1)/g·Σ (θ₍ᵢ₎ − mean)². A group may be a single observation.
 */
export function jackknifeVariance(leftOut: ArrayLike<number>): number {
  const values = Array.from(leftOut);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return ((values.length - 1) / values.length) * values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
}
