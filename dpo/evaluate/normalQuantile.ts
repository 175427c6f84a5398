import { TensorError } from '../../tensor/index.ts';

/** P(X > x) of a standard normal variable: a power series for |x| < 3, else a continued fraction; both to f64's precision. */
function upperTail(x: number): number {
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (Math.abs(x) < 3) {
    // Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …)
    let [term, sum] = [x, x];
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
      term *= (x * x) / k;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  if (x < 0) return 1 - upperTail(-x);
  // 1 − Φ(x) = φ(x)/(x + 1/(x + 2/(x + 3/(x + …))))
  let fraction = x;
  for (let k = 100; k >= 1; k--) fraction = x + k / fraction;
  return density / fraction;
}

/** The p-quantile of the standard normal distribution, 0 < p < 1, by Newton's method. */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new TensorError(`normalQuantile: a probability lies between 0 and 1, got ${p}`);
  if (p < 0.5) return -normalQuantile(1 - p);
  let z = 0;
  // Start at 0: the tail is convex for z > 0, so the steps never overshoot.
  for (let step = 0; step < 100; step++) {
    const move = (upperTail(z) - (1 - p)) * Math.sqrt(2 * Math.PI) * Math.exp((z * z) / 2);
    z += move;
    if (Math.abs(move) < 1e-15 * (1 + z)) break;
  }
  return z;
}
