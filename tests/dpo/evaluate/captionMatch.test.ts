import { captionMatch } from 'diffusion-dpo/dpo';
import { key, openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { featuresOf, normalRows } from './rows.ts';

setDefaultDevice(await openDevice('reference'));

const names = Array.from({ length: 40 }, (_, i) => `caption ${i}`);
const real = { features: featuresOf(names.map((_, i) => [i, 1])), captions: names };

describe('captionMatch', () => {
  test('is 1 for samples like the images of their captions, 0 for samples like none of theirs', async () => {
    const near = { features: featuresOf(names.map((_, i) => [i + 0.3, 1])), captions: names };
    expect((await captionMatch(near, real, { key: key(1) })).value).toBe(1);
    const far = { features: featuresOf(names.map(() => [-1000, 1])), captions: names.map(() => 'caption 39') };
    expect((await captionMatch(far, real, { key: key(1) })).value).toBe(0);
  });

  test('is 1 of the number of candidates by chance, and exactly where all are equally near', async () => {
    const noise = await normalRows(2, 2000, [0, 0]);
    const random = await normalRows(3, 40, [0, 0]);
    const captions = Array.from({ length: 2000 }, (_, i) => names[i % 40] as string);
    const chance = await captionMatch(
      { features: noise, captions },
      { features: random, captions: names },
      { key: key(4), candidates: 5 },
    );
    // Samples of one caption share its image, so their results are correlated: 40 captions, of p(1 − p) each.
    expect(Math.abs(chance.value - 0.2)).toBeLessThan(5 * Math.sqrt((0.2 * 0.8) / 40));
    const same = { features: featuresOf(names.map(() => [1, 1])), captions: names };
    const { value, matched } = await captionMatch(same, same, { key: key(4), candidates: 8 });
    expect(value).toBeCloseTo(1 / 8, 12);
    expect(new Set(matched)).toEqual(new Set([1 / 8]));
  });

  test('measures the distance to the nearest of a caption’s images', async () => {
    const both = {
      features: featuresOf([[0], [10], [4], [5]]),
      captions: ['a', 'a', 'b', 'b'],
    };
    const samples = { features: featuresOf([[9], [1], [4.4]]), captions: ['a', 'a', 'a'] };
    const { matched } = await captionMatch(samples, both, { key: key(0), candidates: 2 });
    expect(matched).toEqual([1, 1, 0]);
  });

  test('a sample’s candidates depend on the key and its place alone', async () => {
    const noise = await normalRows(5, 40, [0, 0]);
    const all = await captionMatch({ features: noise, captions: names }, real, { key: key(6), candidates: 3 });
    const first = { count: 7, width: 2, values: noise.values.slice(0, 14) };
    const some = await captionMatch({ features: first, captions: names.slice(0, 7) }, real, {
      key: key(6),
      candidates: 3,
    });
    expect(some.matched).toEqual(all.matched.slice(0, 7));
    const other = await captionMatch({ features: noise, captions: names }, real, { key: key(7), candidates: 3 });
    expect(other.matched).not.toEqual(all.matched);
  });

  test('samples of one caption have candidates of their own', async () => {
    // The caption's image is 20 away; half of the others are nearer, half farther.
    const count = 400;
    const same = {
      features: featuresOf(Array.from({ length: count }, () => [0, 1])),
      captions: Array.from({ length: count }, () => 'caption 20'),
    };
    const { value, matched } = await captionMatch(same, real, { key: key(10), candidates: 2 });
    expect(new Set(matched)).toEqual(new Set([0, 1]));
    // 19 of the 39 others are farther.
    expect(Math.abs(value - 19 / 39)).toBeLessThan(5 * Math.sqrt(0.25 / count));
  });

  test('with all captions as candidates is the share that is nearest among all', async () => {
    const noise = await normalRows(8, 40, [20, 1], [12, 1]);
    const { matched } = await captionMatch({ features: noise, captions: names }, real, { key: key(9), candidates: 40 });
    const nearest = names.map((_, i) => {
      const [x = 0, y = 0] = noise.values.subarray(2 * i, 2 * i + 2);
      const distances = names.map((_, j) => (x - j) ** 2 + (y - 1) ** 2);
      return distances[i] === Math.min(...distances) ? 1 : 0;
    });
    expect(matched).toEqual(nearest);
  });

  test('refuses captions without images, and more candidates than there are', async () => {
    const sample = { features: featuresOf([[0, 1]]), captions: ['unknown'] };
    await expect(captionMatch(sample, real, { key: key(0) })).rejects.toThrow(
      "captionMatch: there is no real image of 'unknown', caption of sample 0",
    );
    await expect(captionMatch(real, real, { key: key(0), candidates: 41 })).rejects.toThrow(
      'captionMatch: needs at least 2 candidates, and at most 40, the captions that have real images; got 41',
    );
    await expect(captionMatch({ ...sample, captions: [] }, real, { key: key(0) })).rejects.toThrow(
      'captionMatch: 0 captions for 1 samples',
    );
  });
});
