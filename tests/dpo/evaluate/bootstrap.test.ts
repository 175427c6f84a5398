import { bootstrap, bootstrapMean } from 'diffusion-dpo/dpo';
import { key, openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { normalRows } from './rows.ts';

setDefaultDevice(await openDevice('reference'));

describe('bootstrap', () => {
  test('of a mean is near the normal interval, mean ± 1.96·deviation/√n', async () => {
    const values = Array.from((await normalRows(1, 100, [3], [2])).values);
    const { value, low, high } = await bootstrapMean(values, { key: key(2), resamples: 400 });
    const mean = values.reduce((a, b) => a + b, 0) / 100;
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 100);
    expect(value).toBeCloseTo(mean, 10);
    const half = (1.959963984540054 * deviation) / 10;
    // The 2.5 % point of 400 resamples is itself known to about √(0.025·0.975/400)/0.058 = 0.135 deviations of the mean.
    const slack = 5 * 0.135 * (half / 1.96);
    expect(Math.abs(low - (mean - half))).toBeLessThan(slack);
    expect(Math.abs(high - (mean + half))).toBeLessThan(slack);
  });

  test('resamples with replacement: of two observations, a quarter are twice the first', async () => {
    const seen: number[][] = [];
    await bootstrap(2, (drawn) => seen.push(Array.from(drawn)), { key: key(3), resamples: 4000 });
    const share = (a: number, b: number) => seen.filter(([x, y]) => x === a && y === b).length / 4001;
    for (const [a, b] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ] as const)
      expect(Math.abs(share(a, b) - 0.25)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / 4000));
    expect(seen.at(-1)).toEqual([0, 1]);
  });

  test('depends on the key alone, and has no width where all observations are equal', async () => {
    const run = (seed: number) => bootstrapMean([1, 2, 4, 8], { key: key(seed), resamples: 200 });
    expect(await run(5)).toEqual(await run(5));
    expect(await run(5)).not.toEqual(await run(6));
    expect(await bootstrapMean([7, 7, 7], { key: key(1) })).toEqual({ value: 7, low: 7, high: 7 });
  });

  test('its ends are quantiles of the resamples’ values, linear between neighbours', async () => {
    // The values of the resamples are the squares of resamples − 1 … 0, in this order.
    const squares = async (resamples: number, confidence: number) => {
      let left = resamples;
      const { low, high } = await bootstrap(2, () => Math.max(0, --left) ** 2, { key: key(0), resamples, confidence });
      return [low, high];
    };
    // At 0.025·400 = 10 and 0.975·400 = 390 of 0 … 400.
    const [low, high] = await squares(401, 0.95);
    expect(low).toBeCloseTo(10 ** 2, 6);
    expect(high).toBeCloseTo(390 ** 2, 6);
    // At 0.25·3 = 0.75 and 0.75·3 = 2.25 of 0, 1, 4, 9.
    expect(await squares(4, 0.5)).toEqual([0.75, 4 + 0.25 * 5]);
  });

  test('a higher confidence gives a wider interval', async () => {
    const at = (confidence: number) => bootstrapMean([0, 1, 2, 3, 9, 10], { key: key(1), resamples: 500, confidence });
    const [narrow, wide] = [await at(0.5), await at(0.99)];
    expect(wide.low).toBeLessThan(narrow.low);
    expect(wide.high).toBeGreaterThan(narrow.high);
  });

  test('refuses nothing to draw from', async () => {
    await expect(bootstrapMean([], { key: key(0) })).rejects.toThrow('bootstrap: needs at least 1 observation, got 0');
    await expect(bootstrapMean([1], { key: key(0), confidence: 1 })).rejects.toThrow(
      'bootstrap: a confidence lies between 0 and 1, got 1; 0.95 means 95 %',
    );
  });
});
