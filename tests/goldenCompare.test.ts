import { describe, expect, test } from 'vitest';
import { boundOf } from './goldenRunner/bounds.ts';
import { compare } from './goldenRunner/compare.ts';

describe('comparison with golden data', () => {
  const floats = (...values: number[]) => ({ shape: [values.length], values, exact: false });
  const whole = (...values: number[]) => ({ shape: [values.length], values, exact: true });

  test('measures the relative L2 error', () => {
    expect(compare('out', floats(3, 4.5), floats(3, 4), 0.1)).toMatchObject({ passed: true, error: 0.1 });
    expect(compare('out', floats(3, 4.5), floats(3, 4), 0.09).passed).toBe(false);
  });

  test('measures the largest absolute error where the reference is zero', () => {
    const { passed: ok, error, measure } = compare('out', floats(1e-6, -2e-6), floats(0, 0), 2e-6);
    expect({ ok, error, measure }).toEqual({ ok: true, error: 2e-6, measure: 'largest absolute error' });
  });

  test('wants infinities to agree, and no NaN', () => {
    const infinity = Number.POSITIVE_INFINITY;
    expect(compare('out', floats(-infinity, 1), floats(-infinity, 1), 0)).toMatchObject({ passed: true, error: 0 });
    expect(compare('out', floats(infinity, 1), floats(-infinity, 1), 1).reason).toBe(
      'Infinity at element 0, not -Infinity',
    );
    expect(compare('out', floats(1, Number.NaN), floats(1, 1), 1).passed).toBe(false);
    expect(compare('out', floats(1, 1), floats(1, Number.NaN), 1).passed).toBe(false);
  });

  test('wants whole numbers to be equal', () => {
    expect(compare('out', whole(1, 2), whole(1, 2), 1).passed).toBe(true);
    expect(compare('out', whole(1, 3), whole(1, 2), 1)).toMatchObject({ passed: false, error: 1, bound: 0 });
    expect(compare('out', floats(1), whole(1), 1).reason).toBe('floats where integers are expected');
  });
});

test('the bound in float32 leaves room for ten times the error of PyTorch, in float64 for rounding only', () => {
  expect(boundOf('f32', 5e-6)).toBe(5e-6);
  expect(boundOf('f32', 5e-6, 4e-6)).toBe(10 * 4e-6);
  expect(boundOf('f64', 5e-6, 4e-6)).toBe(2e-7);
});
