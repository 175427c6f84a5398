import { describe, expect, test } from 'vitest';
import type { Features } from '../../../dpo/evaluate/features.ts';
import { jackknife, jackknifeVariance } from '../../../dpo/evaluate/jackknife.ts';
import { featuresOf } from './rows.ts';

const rows = (...values: number[]): Features => featuresOf(values.map((value) => [value]));
const mean = ({ values }: Features): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
/** The 97.5 % point of the standard normal distribution, from a table. */
const z = 1.959963984540054;

describe('jackknifeVariance', () => {
  test('of the mean with each observation left out is s²/n', () => {
    // 1, 2, 3, 6: without each the mean is 11/3, 10/3, 3, 2; s² = (4 + 1 + 0 + 9)/3.
    expect(jackknifeVariance([11 / 3, 10 / 3, 3, 2])).toBeCloseTo(14 / 3 / 4, 12);
  });
});

describe('jackknife', () => {
  const difference = (x: Features, y: Features) => 3 * mean(x) - mean(y);

  test('leaves out groups of rows of both sets, worked out by hand', () => {
    // Without rows 0 and 2, then 1 and 3, the means are 4 and 2 of x, 0 and 2 of y: variances 9·½·(1 + 1) and ½·(1 + 1).
    const { value, low, high } = jackknife('test', rows(1, 2, 3, 6), rows(0, 0, 4, 0), difference, { groups: 2 });
    expect(value).toBe(8);
    expect(high - value).toBeCloseTo(z * Math.sqrt(10), 6);
    expect(value - low).toBeCloseTo(z * Math.sqrt(10), 6);
  });

  test('makes as many groups as asked, of at least two rows', () => {
    const half = (groups: number): number => {
      const { value, high } = jackknife('test', rows(0, 1, 2, 3, 4, 5, 6, 7), rows(5, 5, 5, 5), mean, { groups });
      return high - value;
    };
    // Means without each group: 4, 3; of four groups 4, 11/3, 10/3, 3, which are ½, 1/6, 1/6, ½ away from theirs.
    expect(half(2)).toBeCloseTo(z * Math.sqrt(0.25), 6);
    expect(half(4)).toBeCloseTo(z * Math.sqrt((3 / 4) * (1 / 2 + 1 / 18)), 6);
    expect(half(20)).toBe(half(4));
  });

  test('refuses fewer groups than two, and rows', () => {
    const x = rows(1, 2, 3, 4);
    expect(() => jackknife('test', x, x, mean, { groups: 1 })).toThrow('test: needs at least 2 groups, got 1');
    expect(() => jackknife('test', x, rows(1, 2, 3), mean)).toThrow('test: needs at least 4 rows of features, got 3');
  });
});
