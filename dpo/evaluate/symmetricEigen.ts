import { TensorError } from '../../tensor/index.ts';

/** The eigendecomposition of a symmetric matrix [n, n]. */
export interface SymmetricEigen {
  /** The n eigenvalues, unordered. */
  readonly values: Float64Array;
  /** Orthonormal eigenvectors [n, n], row-major: column j belongs to value j. */
  readonly vectors: Float64Array;
}

/**
 * Eigenvalues and eigenvectors of a symmetric matrix [n, n] by Jacobi's rotations (Golub & Van Loan, "Matrix
 * Computations", section 8.5): slow for large matrices, but accurate to the last digits.
 * @throws TensorError if the rotations do not converge, as for a matrix that is not finite
 */
export function symmetricEigen(matrix: Float64Array, n: number): SymmetricEigen {
  // Symmetrise, since the rotations never remove a difference between the two sides of the diagonal.
  const a = matrix.map((value, i) => (value + (matrix[(i % n) * n + Math.floor(i / n)] as number)) / 2);
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  const at = (i: number, j: number): number => a[i * n + j] as number;
  let size = 0;
  for (let i = 0; i < n * n; i++) size += (a[i] as number) ** 2;
  // Convergence is quadratic, down to rounding errors: about n · 2^−53 of the matrix's norm.
  const negligible = size * (n * 2 ** -53) ** 2;
  for (let sweep = 0; sweep < 60; sweep++) {
    let rest = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) rest += at(i, j) ** 2;
    if (rest <= negligible) return { values: Float64Array.from({ length: n }, (_, i) => at(i, i)), vectors };
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, vectors, n, p, q);
  }
  throw new TensorError(`symmetricEigen: Jacobi's rotations do not converge on this ${n} × ${n} matrix; is it finite?`);
}

/** Rotates in the plane of axes p and q so that a[p, q] vanishes. */
function rotate(a: Float64Array, vectors: Float64Array, n: number, p: number, q: number): void {
  const off = a[p * n + q] as number;
  if (off === 0) return;
  const theta = ((a[q * n + q] as number) - (a[p * n + p] as number)) / (2 * off);
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const cosine = 1 / Math.hypot(tangent, 1);
  const sine = tangent * cosine;
  const turn = (values: Float64Array, first: number, second: number): void => {
    const [x, y] = [values[first] as number, values[second] as number];
    values[first] = cosine * x - sine * y;
    values[second] = sine * x + cosine * y;
  };
  for (let k = 0; k < n; k++) turn(a, k * n + p, k * n + q);
  for (let k = 0; k < n; k++) turn(a, p * n + k, q * n + k);
  a[p * n + q] = 0;
  a[q * n + p] = 0;
  for (let k = 0; k < n; k++) turn(vectors, k * n + p, k * n + q);
}
