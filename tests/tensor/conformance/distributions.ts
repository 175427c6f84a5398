import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { entry } from './naive.ts';
import {
  chiSquared,
  chiSquaredBound,
  countsOf,
  kolmogorovBound,
  kolmogorovSmirnov,
  normalDistribution,
} from './statistics.ts';
import { compute, type DeviceOf, had } from './support.ts';

const { random } = t;
const n = 50_000;

const moment = (sample: readonly number[], power: number): number =>
  sample.reduce((sum, x) => sum + x ** power, 0) / sample.length;

/** Distributions, tested with fixed seeds at the level 0.001: a right generator passes with nearly any seed. */
export function distributions(device: DeviceOf): void {
  const values = (x: t.Tensor) => compute(device(), x);

  test('uniform is uniform', async () => {
    for (const dtype of had(device(), ['f32', 'f64'])) {
      for (const seed of [1, 2, 3]) {
        const sample = await values(random.uniform(t.key(seed), [n], { dtype }));
        expect(Math.min(...sample)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...sample)).toBeLessThan(1);
        expect(kolmogorovSmirnov(sample, (x) => x)).toBeLessThan(kolmogorovBound(n));
        // Mean 1/2 and second moment 1/3, with standard deviations √(1/12n) and √(4/45n).
        expect(Math.abs(moment(sample, 1) - 1 / 2)).toBeLessThan(3.3 * Math.sqrt(1 / 12 / n));
        expect(Math.abs(moment(sample, 2) - 1 / 3)).toBeLessThan(3.3 * Math.sqrt(4 / 45 / n));
      }
    }
  });

  test('uniform between other bounds', async () => {
    const sample = await values(random.uniform(t.key(4), [n], { min: -2, max: 6 }));
    expect(kolmogorovSmirnov(sample, (x) => (x + 2) / 8)).toBeLessThan(kolmogorovBound(n));
  });

  test('normal is normal, in its tails too', async () => {
    for (const dtype of had(device(), ['f32', 'f64'])) {
      for (const seed of [1, 2, 3]) {
        const sample = await values(random.normal(t.key(seed), [n], { dtype }));
        expect(kolmogorovSmirnov(sample, normalDistribution)).toBeLessThan(kolmogorovBound(n));
        // Moments 0, 1, 0, 3 with variances 1, 2, 15, 96 over n.
        expect(Math.abs(moment(sample, 1))).toBeLessThan(3.3 * Math.sqrt(1 / n));
        expect(Math.abs(moment(sample, 2) - 1)).toBeLessThan(3.3 * Math.sqrt(2 / n));
        expect(Math.abs(moment(sample, 3))).toBeLessThan(3.3 * Math.sqrt(15 / n));
        expect(Math.abs(moment(sample, 4) - 3)).toBeLessThan(3.3 * Math.sqrt(96 / n));
        const beyond = sample.filter((x) => Math.abs(x) > 3).length;
        const expected = n * 2 * normalDistribution(-3);
        expect(Math.abs(beyond - expected)).toBeLessThan(3.3 * Math.sqrt(expected));
      }
    }
  });

  test('neighbours, and draws of different keys, are uncorrelated', async () => {
    const correlation = (a: readonly number[], b: readonly number[]) =>
      a.reduce((sum, x, i) => sum + x * entry(b, i), 0) / a.length;
    const a = await values(random.normal(t.key(1), [n]));
    const [left, right] = random.split(t.key(1)) as [t.Tensor, t.Tensor];
    const [b, c] = [await values(random.normal(left, [n])), await values(random.normal(right, [n]))];
    const bound = 3.3 / Math.sqrt(n - 1);
    for (const [x, y] of [
      [a.slice(0, -1), a.slice(1)],
      [a, b],
      [b, c],
      [a, await values(random.normal(t.key(2), [n]))],
      [a, await values(random.normal(random.foldIn(t.key(1), 0), [n]))],
    ] as const) {
      expect(Math.abs(correlation(x, y))).toBeLessThan(bound);
    }
  });

  test('bernoulli has the frequency it is given, by number and by tensor', async () => {
    const near = (sample: readonly number[], p: number) => {
      const spread = 3.3 * Math.sqrt((p * (1 - p)) / sample.length);
      expect(Math.abs(moment(sample, 1) - p)).toBeLessThanOrEqual(spread);
    };
    for (const p of [0, 0.01, 0.3, 0.5, 0.99, 1]) {
      const drawn = random.bernoulli(t.key(6), p, [n]);
      expect(drawn.dtype).toBe('bool');
      near(await values(drawn), p);
    }
    for (const dtype of had(device(), ['f32', 'f64'])) {
      const p = t.tensor([0, 0.25, 1], { dtype });
      const drawn = await values(random.bernoulli(t.key(7), p, [n, 3]));
      for (const [column, chance] of [0, 0.25, 1].entries()) {
        near(
          drawn.filter((_, i) => i % 3 === column),
          chance,
        );
      }
    }
  });

  test('randint covers its range evenly', async () => {
    for (const [min, max] of [
      [0, 10],
      [-3, 4],
      [100, 101],
      [-(2 ** 31), 2 ** 31],
      [-(2 ** 31), 2 ** 31 - 1],
      [-(2 ** 30), 2 ** 30 + 1],
      [0, 3_000_000_000 - 2 ** 31],
    ] as const) {
      const sample = await values(random.randint(t.key(8), [n], min, max));
      expect(Math.min(...sample)).toBeGreaterThanOrEqual(min);
      expect(Math.max(...sample)).toBeLessThan(max);
      const span = max - min;
      const classes = Math.min(span, 16);
      if (classes === 1) continue;
      const of = (x: number) => Math.floor(((x - min) * classes) / span);
      // Class sizes differ by at most one number, which only counts if there are few; then they are equal.
      const expected = new Array<number>(classes).fill(n / classes);
      const counts = countsOf(sample.map(of), classes);
      expect(chiSquared(counts, expected)).toBeLessThan(chiSquaredBound(classes - 1));
    }
  });

  test('categorical draws with the probabilities of softmax, along any axis', async () => {
    for (const dtype of had(device(), ['f32', 'f64'])) {
      const logits = [0, 1, -1, 2.5, -3, Number.NEGATIVE_INFINITY];
      const weights = logits.map(Math.exp);
      const total = weights.reduce((a, b) => a + b, 0);
      const rows = t.broadcastTo(t.tensor(logits, { dtype }), [n, 6]);
      const drawn = random.categorical(t.key(9), rows);
      expect([drawn.dtype, drawn.shape]).toEqual(['i32', [n]]);
      const counts = countsOf(await values(drawn), 6);
      expect(counts[5]).toBe(0);
      const expected = weights.slice(0, 5).map((w) => (n * w) / total);
      expect(chiSquared(counts.slice(0, 5), expected)).toBeLessThan(chiSquaredBound(4));
      const columns = await values(random.categorical(t.key(10), t.transpose(rows), 0));
      expect(chiSquared(countsOf(columns, 6).slice(0, 5), expected)).toBeLessThan(chiSquaredBound(4));
    }
  });

  test('each of the 24 orders of four things is equally likely', async () => {
    const trials = 4800;
    const keys = random.split(t.key(11), trials);
    const drawn = await values(t.stack(keys.map((key) => random.permutation(key, 4))));
    const counts = new Map<string, number>();
    for (let i = 0; i < trials; i++) {
      const order = drawn.slice(4 * i, 4 * i + 4).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const expected = new Array<number>(24).fill(trials / 24);
    expect(chiSquared([...counts.values()], expected)).toBeLessThan(chiSquaredBound(23));
  });
}
