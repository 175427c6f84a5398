import { largestDivergence, placeOnFrontier, rewardKlFrontier } from 'diffusion-dpo/dpo';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normalQuantile } from '../../../dpo/evaluate/normalQuantile.ts';

/** A normal distribution as the points that cut it into equal parts, so that averages over it are nearly exact. */
const normal = (mean: number, deviation: number, count = 20_000): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => mean + deviation * normalQuantile((i + 0.5) / count));

describe('normalQuantile', () => {
  test.each([
    [0.5, 0],
    [0.8413447460685429, 1],
    [0.975, 1.959963984540054],
    [0.995, 2.5758293035489004],
    [0.9995, 3.2905267314919255],
    [0.9999999, 5.199337582192817],
  ])('of %f is %f, by tables', (p, z) => {
    expect(normalQuantile(p)).toBeCloseTo(z, 7);
    expect(normalQuantile(1 - p)).toBeCloseTo(-z, 7);
  });
});

describe('rewardKlFrontier', () => {
  // r = g·x of x ~ N(m, s²) is N(g·m, g²s²); tilted by e^{r/β} it is N(g·m + g²s²/β, g²s²), at KL = g²s²/(2β²).
  test.each([
    [3, 0.3, 0.5, 2],
    [1, 0, 1, 1],
    [-2, 1, 0.25, 0.5],
  ])('of a Gaussian (g = %f, m = %f, s = %f, β = %f) is the closed form', (g, m, s, beta) => {
    const [point] = rewardKlFrontier(normal(g * m, Math.abs(g) * s), [beta]);
    expect(point?.reward).toBeCloseTo(g * m + (g * s) ** 2 / beta, 2);
    expect(point?.kl).toBeCloseTo((g * s) ** 2 / (2 * beta ** 2), 2);
    // (E w)²/E w² = e^{−g²s²/β²} of all.
    expect((point?.effectiveSamples ?? 0) / 20_000).toBeCloseTo(Math.exp(-((g * s) ** 2) / beta ** 2), 2);
  });

  test('of rewards 0 and 1 is Bernoulli: p = σ(1/β), KL = log 2 − H(p)', () => {
    const points = rewardKlFrontier([0, 1, 1, 0], [0.1, 1, 10]);
    for (const { beta, reward, kl } of points) {
      const p = 1 / (1 + Math.exp(-1 / beta));
      expect(reward).toBeCloseTo(p, 12);
      expect(kl).toBeCloseTo(Math.log(2) + p * Math.log(p) + (1 - p) * Math.log(1 - p), 10);
    }
  });

  const rewardLists = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 2, maxLength: 20 });

  test('with a smaller β has more reward, more divergence, fewer effective samples, and KL at most log n', () =>
    fc.assert(
      fc.property(rewardLists, (rewards) => {
        const points = rewardKlFrontier(rewards, [100, 10, 1, 0.1, 1e-3]);
        points.forEach((point, i) => {
          const before = points[i - 1] ?? { reward: -Infinity, kl: 0, effectiveSamples: Infinity };
          expect(point.reward).toBeGreaterThanOrEqual(before.reward - 1e-9);
          expect(point.kl).toBeGreaterThanOrEqual(before.kl - 1e-9);
          expect(point.effectiveSamples).toBeLessThanOrEqual(before.effectiveSamples + 1e-9);
          expect(point.kl).toBeLessThanOrEqual(Math.log(rewards.length) + 1e-9);
        });
      }),
    ));

  test('moves with the rewards, and stays finite for any β', () => {
    const [a, b] = [rewardKlFrontier([1, 2, 4], [0.5]), rewardKlFrontier([1001, 1002, 1004], [0.5])];
    expect((b[0]?.reward ?? 0) - (a[0]?.reward ?? 0)).toBeCloseTo(1000, 9);
    expect(b[0]?.kl).toBeCloseTo(a[0]?.kl ?? 0, 9);
    const [far] = rewardKlFrontier([1, 2, 4], [1e-300]);
    expect(far).toMatchObject({ reward: 4, effectiveSamples: 1 });
    expect(far?.kl).toBeCloseTo(Math.log(3), 12);
  });

  test('refuses β and rewards that are none', () => {
    expect(() => rewardKlFrontier([1], [0])).toThrow('rewardKlFrontier: β is above 0, got 0');
    expect(() => rewardKlFrontier([], [1])).toThrow('needs rewards of samples of the reference, got none');
    expect(() => rewardKlFrontier([0, Number.NaN], [1])).toThrow('rewardKlFrontier: reward 1 is NaN, not finite');
  });
});

describe('largestDivergence', () => {
  test.each([
    [[1, 2, 3], Math.log(3)],
    [[0, 1, 1, 0], Math.log(2)],
    [[4, 4], 0],
  ])('of rewards %j is log n less the log of how many are highest', (rewards, expected) => {
    expect(largestDivergence(rewards)).toBeCloseTo(expected, 12);
  });
});

describe('placeOnFrontier', () => {
  test('of a Gaussian finds the point with the divergence: reward = mean + deviation·√(2·KL)', () => {
    const rewards = normal(0.5, 2);
    const place = placeOnFrontier(rewards, { reward: 1.5, kl: 0.5 });
    expect(place.frontier.reward).toBeCloseTo(0.5 + 2, 1);
    expect(place.frontier.kl).toBeCloseTo(0.5, 9);
    expect(place.gap).toBeCloseTo(-1, 1);
    expect(place.efficiency).toBeCloseTo(0.5, 1);
  });

  test('a point of the frontier lies on it', () => {
    const rewards = [0, 0.5, 2, 3, 3.5];
    for (const point of rewardKlFrontier(rewards, [0.5, 1, 4])) {
      const place = placeOnFrontier(rewards, point);
      expect(place.gap).toBeCloseTo(0, 9);
      expect(place.efficiency).toBeCloseTo(1, 9);
      expect(place.frontier.beta).toBeCloseTo(point.beta, 6);
    }
  });

  test('at a divergence of 0 is the reference itself, where no share can be gained', () => {
    for (const rewards of [
      [0, 1, 2, 3],
      [4, 4],
    ]) {
      const { frontier, gap, efficiency } = placeOnFrontier(rewards, { reward: 2, kl: 0 });
      const mean = rewards.reduce((a, b) => a + b) / rewards.length;
      expect(frontier).toEqual({ beta: Infinity, reward: mean, kl: 0, effectiveSamples: rewards.length });
      expect(gap).toBe(2 - mean);
      expect(efficiency).toBeNaN();
    }
  });

  // As KL → 0 the frontier gains deviation·√(2·KL), whatever the rewards' distribution; the next term is skewness·KL/3,
  // which is 0 here.
  test.each([1e-4, 1e-8, 1e-16, 1e-30, 1e-100])('at a divergence of %f loses no digits', (kl) => {
    for (const mean of [0, 1024]) {
      const rewards = [-3, -1, 1, 3].map((reward) => reward + mean);
      const { frontier, efficiency } = placeOnFrontier(rewards, { reward: mean + 1, kl });
      expect(Math.abs(frontier.kl / kl - 1)).toBeLessThan(1e-9);
      expect(Math.abs(efficiency * Math.sqrt(5 * 2 * kl) - 1)).toBeLessThan(Math.max(kl, 1e-9));
    }
  });

  test('refuses a divergence that the samples cannot show', () => {
    expect(() => placeOnFrontier([0, 1, 2, 3], { reward: 3, kl: 2 })).toThrow(
      'placeOnFrontier: the divergence is 2; it must be at least 0 and below 1.386, the most that 4 rewards can show',
    );
  });
});
