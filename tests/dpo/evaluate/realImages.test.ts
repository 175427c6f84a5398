import { type PairSource, type PreferencePair, realImages } from 'diffusion-dpo/dpo';
import { describe, expect, test } from 'vitest';
import { flatImage } from '../tinyPipeline.ts';

/** Pairs whose winner is brighter; the models that made them change sides in the second. */
const pairs: readonly PreferencePair[] = [
  { winner: 200, loser: 100, models: { winner: 'new', loser: 'old' } },
  { winner: 180, loser: 80, models: { winner: 'old', loser: 'new' } },
].map(({ winner, loser, models }, i) => ({
  ...{ caption: `caption ${i}`, place: `row ${i}`, models },
  winner: flatImage([winner, winner, winner]),
  loser: flatImage([loser, loser, loser]),
}));

const sourceOf = (rows: readonly PreferencePair[]): PairSource => ({
  ...{ name: 'pairs', count: rows.length, ties: 0, unlabelled: 0, groups: [{ start: 0, end: rows.length }] },
  read: async (i) => rows[i] as PreferencePair,
  [Symbol.asyncDispose]: async () => {},
});
const skip = { maxSkipped: 0 };

describe('realImages', () => {
  test('are both images of every pair, with caption, model and numbers from −1 to 1', async () => {
    const { captions, models, values } = await realImages(sourceOf(pairs), [8, 8], null, skip);
    expect(captions).toEqual(['caption 0', 'caption 0', 'caption 1', 'caption 1']);
    expect(models).toEqual(['new', 'old', 'old', 'new']);
    expect(values).toHaveLength(4 * 3 * 64);
    // The last pixel of each image is of its full colour.
    [200, 100, 180, 80].forEach((level, i) => {
      expect(values[192 * (i + 1) - 1]).toBeCloseTo(level / 127.5 - 1, 5);
    });
  });

  test('are of the preferred kind by their labels, or by the model that made them', async () => {
    const kinds = async (preferred: string | null) =>
      (await realImages(sourceOf(pairs), [8, 8], preferred, skip)).preferred;
    expect(await kinds(null)).toEqual([true, false, true, false]);
    expect(await kinds('new')).toEqual([true, false, false, true]);
    expect(await kinds('old')).toEqual([false, true, true, false]);
  });

  test('refuses a model that made none of them, or all', async () => {
    await expect(realImages(sourceOf(pairs), [8, 8], 'other', skip)).rejects.toThrow(
      'pairs: none of the images are of the preferred model "other"; the models are new, old',
    );
    const one = pairs.map((pair) => ({ ...pair, models: { winner: 'new', loser: 'new' } }));
    await expect(realImages(sourceOf(one), [8, 8], 'new', skip)).rejects.toThrow('all of the images');
    const unnamed = pairs.map(({ models: _, ...pair }) => pair);
    await expect(realImages(sourceOf(unnamed), [8, 8], 'new', skip)).rejects.toThrow('the pairs name no models');
  });
});
