import { meanShare, signTest, wilsonInterval, winRate } from 'diffusion-dpo/dpo';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

describe('wilsonInterval', () => {
  test.each([
    // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3 (score).
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])('of %i of %i is the published one', (wins, n, low, high) => {
    const interval = wilsonInterval(wins, n);
    expect(interval.value).toBe(wins / n);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  const counts = fc
    .integer({ min: 1, max: 2000 })
    .chain((n) => fc.record({ n: fc.constant(n), wins: fc.integer({ min: 0, max: n }) }));
  const confidences = fc.constantFrom(0.5, 0.9, 0.95, 0.99);

  test('holds the share, stays within 0 and 1, and mirrors when wins and losses are swapped', () =>
    fc.assert(
      fc.property(counts, confidences, ({ n, wins }, confidence) => {
        const [one, other] = [wilsonInterval(wins, n, confidence), wilsonInterval(n - wins, n, confidence)];
        expect(one.low).toBeGreaterThanOrEqual(0);
        expect(one.low).toBeLessThanOrEqual(one.value);
        expect(one.high).toBeGreaterThanOrEqual(one.value);
        expect(one.high).toBeLessThanOrEqual(1);
        expect(one.low).toBeCloseTo(1 - other.high, 12);
      }),
    ));

  test('ends where the share is z standard errors away', () =>
    fc.assert(
      fc.property(counts, ({ n, wins }) => {
        const { value, low, high } = wilsonInterval(wins, n);
        for (const p of [low, high].filter((end) => end > 0 && end < 1)) {
          // The 97.5 % point of the standard normal distribution, from a table.
          expect(Math.abs(value - p) / Math.sqrt((p * (1 - p)) / n)).toBeCloseTo(1.959963984540054, 6);
        }
      }),
    ));

  test('refuses what are no shares', () => {
    expect(() => wilsonInterval(3, 2)).toThrow('wilsonInterval: needs 0 ≤ wins ≤ n and n > 0, got 3 of 2');
    expect(() => wilsonInterval(0, 0)).toThrow('got 0 of 0');
    expect(() => wilsonInterval(1, 2, 95)).toThrow(
      'wilsonInterval: a confidence lies between 0 and 1, got 95; 0.95 means 95 %',
    );
  });
});

describe('meanShare', () => {
  test('of zeros and ones is their share, and is not certain where all are right', () => {
    expect(meanShare([1, 0, 1, 1])).toEqual(wilsonInterval(3, 4));
    // With all of n right, the lower end is 1/(1 + z²/n).
    expect(meanShare(new Array(6).fill(1))).toMatchObject({ value: 1, high: 1 });
    expect(meanShare(new Array(6).fill(1)).low).toBeCloseTo(1 / (1 + 1.959963984540054 ** 2 / 6), 8);
    expect(meanShare([0, 0], 0.5)).toEqual(wilsonInterval(0, 2, 0.5));
  });

  test('takes shares between', () => expect(meanShare([0.5, 0.75, 1])).toEqual(wilsonInterval(2.25, 3)));
});

describe('signTest', () => {
  test.each([
    // By counting: 2·(1 + 10 + 45)/2^10, 2·1/2^5, and everything.
    [8, 2, 112 / 1024],
    [5, 0, 2 / 32],
    [0, 5, 2 / 32],
    [3, 3, 1],
    [0, 0, 1],
    // 2·Σ_{i ≤ 4} C(17, i)/2^17 = 2·(1 + 17 + 136 + 680 + 2380)/131072
    [13, 4, (2 * 3214) / 131072],
  ])('of %i wins and %i losses is exact', (wins, losses, p) => {
    expect(signTest(wins, losses)).toBeCloseTo(p, 12);
  });

  test('is the sum over all outcomes at least as one-sided, in whole numbers', () =>
    fc.assert(
      fc.property(fc.nat(60), fc.nat(60), (wins, losses) => {
        const n = BigInt(wins + losses);
        const choose = (k: bigint): bigint => (k === 0n ? 1n : (choose(k - 1n) * (n - k + 1n)) / k);
        let tail = 0n;
        for (let k = 0n; k <= n; k++) {
          const distance = 2n * k > n ? 2n * k - n : n - 2n * k;
          if (distance >= BigInt(Math.abs(wins - losses))) tail += choose(k);
        }
        // 60 digits of it, so that the division of whole numbers loses nothing.
        const exact = Number((tail * 10n ** 60n) / 2n ** n) / 1e60;
        expect(Math.abs(signTest(wins, losses) / exact - 1)).toBeLessThan(1e-12);
      }),
    ));

  test('is finite for many thousands, and refuses halves', () => {
    // With the correction for continuity z = (200 − 1)/√10,000 = 1.99, and 2·P(Z > 1.99) = 0.0466 by a table.
    expect(signTest(5100, 4900)).toBeGreaterThan(0.0465);
    expect(signTest(5100, 4900)).toBeLessThan(0.0467);
    expect(() => signTest(1.5, 2)).toThrow('signTest: needs whole numbers of wins and losses, got 1.5 and 2');
  });
});

describe('winRate', () => {
  test('counts pairs; ties count half, and are left out of the sign test', () => {
    const rate = winRate([0, 0, 0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 0, 1, 1]);
    expect(rate).toMatchObject({ wins: 5, losses: 1, ties: 2, value: 6 / 8 });
    expect(rate.pValue).toBeCloseTo((2 * 7) / 64, 12);
    expect(rate).toMatchObject(wilsonInterval(6, 8));
  });

  test('swapped is 1 minus itself, and only the order of scores matters', () => {
    const scores = fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(scores, (pairs) => {
        const [before, after] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
        const rate = winRate(before, after);
        const swapped = winRate(after, before);
        expect(rate.value + swapped.value).toBeCloseTo(1, 12);
        expect(swapped.pValue).toBe(rate.pValue);
        expect(winRate(before.map(Math.exp), after.map(Math.exp))).toEqual(rate);
      }),
    );
  });

  test('refuses scores that are no pairs or no numbers', () => {
    expect(() => winRate([1], [1, 2])).toThrow('winRate: 1 scores before and 2 after are not pairs');
    expect(() => winRate([1, Number.NaN], [1, 2])).toThrow('winRate: a score of pair 1 is not a number');
  });
});
