/** A tensor as the comparison sees it. `exact` values (ids, indices, truth values) must be equal. */
export interface Values {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
  readonly exact: boolean;
}

/** How a result differs from the expected tensor of that name. */
export interface Comparison {
  readonly tensor: string;
  readonly passed: boolean;
  readonly measure: 'relative L2 error' | 'L2 error' | 'largest absolute error' | 'number of different elements';
  /** `NaN` and `Infinity` stand for results that cannot be measured; `reason` says why. */
  readonly error: number;
  readonly bound: number;
  readonly reason?: string;
}

/**
 * Compares a result with its reference: exactly where the reference is exact, otherwise by the relative L2 error, or
 * the largest absolute error where the reference is zero throughout. NaN on either side fails; infinities must agree.
 * Where a `total` is given, a reference whose norm is below a millionth of it is zero in exact arithmetic, and what is
 * stored is rounding: the result's distance from it may then be ten times the rounding of the total in float32.
 */
export function compare(tensor: string, actual: Values, expected: Values, bound: number, total = 0): Comparison {
  const fail = (reason: string): Comparison => {
    const measure = expected.exact ? 'number of different elements' : 'relative L2 error';
    return { tensor, passed: false, measure, error: Number.NaN, bound, reason };
  };
  const shape = `[${actual.shape.join(', ')}]`;
  if (shape !== `[${expected.shape.join(', ')}]`) return fail(`shape ${shape}, not [${expected.shape.join(', ')}]`);
  if (actual.values.length !== expected.values.length) {
    return fail(`${actual.values.length} elements, not ${expected.values.length}`);
  }
  if (actual.exact !== expected.exact) {
    return fail(actual.exact ? 'integers where floats are expected' : 'floats where integers are expected');
  }

  let different = 0;
  let largest = 0;
  let squares = 0;
  let reference = 0;
  for (let i = 0; i < expected.values.length; i++) {
    const a = actual.values[i] as number;
    const b = expected.values[i] as number;
    if (Number.isNaN(a)) return fail(`NaN at element ${i}`);
    if (Number.isNaN(b)) return fail(`the reference is NaN at element ${i}`);
    if (a === b) {
      if (Number.isFinite(b)) reference += b * b;
      continue;
    }
    if (!Number.isFinite(a) || !Number.isFinite(b)) return fail(`${a} at element ${i}, not ${b}`);
    different += 1;
    largest = Math.max(largest, Math.abs(a - b));
    squares += (a - b) ** 2;
    reference += b * b;
  }

  if (expected.exact) {
    return { tensor, passed: different === 0, measure: 'number of different elements', error: different, bound: 0 };
  }
  if (reference === 0 && total === 0) {
    return { tensor, passed: largest <= bound, measure: 'largest absolute error', error: largest, bound };
  }
  if (Math.sqrt(reference) < 1e-6 * total) {
    const [error, absolute] = [Math.sqrt(squares), 10 * 2 ** -24 * total];
    return { tensor, passed: error <= absolute, measure: 'L2 error', error, bound: absolute };
  }
  const error = Math.sqrt(squares / reference);
  return { tensor, passed: error <= bound, measure: 'relative L2 error', error, bound };
}

/** Compares by the largest absolute error: for numbers near 0 that stand for differences of larger ones. */
export function compareAbsolutely(tensor: string, actual: Values, expected: Values, bound: number): Comparison {
  const relative = compare(tensor, actual, expected, Number.POSITIVE_INFINITY);
  if (!relative.passed) return relative;
  const error = Math.max(
    0,
    ...Array.from(expected.values, (value, i) => Math.abs(value - (actual.values[i] as number))),
  );
  return { tensor, passed: error <= bound, measure: 'largest absolute error', error, bound };
}

/** `grad.x: relative L2 error 3.1e-4, bound 1.0e-5`. */
export function describeComparison({ tensor, measure, error, bound, reason }: Comparison): string {
  const errorText = measure === 'number of different elements' ? `${error}` : error.toExponential(1);
  const boundText = measure === 'number of different elements' ? `${bound}` : bound.toExponential(1);
  return `${tensor}: ${reason ?? `${measure} ${errorText}`}, bound ${boundText}`;
}
