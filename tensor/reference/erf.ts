/**
 * The error function to double precision. Below 2.5 its series erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ·x^(2n+1) / (2n+1)!!
 * (DLMF 7.6.2) has only positive terms; above, 1 − erfc(x) by the continued fraction of DLMF 7.9.1, evaluated from a
 * depth at which it has converged.
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  const square = magnitude * magnitude;
  if (magnitude < 2.5) {
    let term = x;
    let total = x;
    for (let n = 1; Math.abs(term) > Math.abs(total) * 1e-17; n++) {
      term *= (2 * square) / (2 * n + 1);
      total += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-square) * total;
  }
  let tail = magnitude;
  for (let n = 60; n >= 1; n--) tail = magnitude + n / 2 / tail;
  return Math.sign(x) * (1 - Math.exp(-square) / (Math.sqrt(Math.PI) * tail));
}
