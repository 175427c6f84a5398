import {
  captionMatch,
  type Figure,
  fid,
  kid,
  meanShare,
  precisionRecall,
  slicedWasserstein,
  wilsonInterval,
  winRate,
} from 'diffusion-dpo/dpo';
import { key, openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { normalRows } from './rows.ts';

setDefaultDevice(await openDevice('reference'));
const [x, y] = [await normalRows(1, 12, [0, 0]), await normalRows(2, 9, [0.5, 0])];
/** Points of the standard normal distribution, from a table: what 50 %, 95 % and 99 % of it lie within. */
const z = { 0.5: 0.6744897501960817, 0.95: 1.959963984540054, 0.99: 2.5758293035489004 };

describe('the confidence of an interval', () => {
  test.each<[string, (confidence: number | undefined) => Figure | Promise<Figure>]>([
    ['fid', (confidence) => fid(x, y, confidence === undefined ? {} : { confidence })],
    ['kid', (confidence) => kid(x, y, confidence === undefined ? {} : { confidence })],
    [
      'slicedWasserstein',
      (confidence) => slicedWasserstein(x, y, { key: key(0), ...(confidence === undefined ? {} : { confidence }) }),
    ],
  ])('of %s is how many standard errors it reaches to both sides, 95 %% by default', async (_, figure) => {
    const reach = async (confidence?: number) => {
      const { value, low, high } = await figure(confidence);
      expect(high - value).toBeCloseTo(value - low, 9);
      return high - value;
    };
    const usual = await reach();
    expect(usual).toBeGreaterThan(0);
    for (const confidence of [0.5, 0.95, 0.99] as const)
      expect((await reach(confidence)) / usual).toBeCloseTo(z[confidence] / z[0.95], 6);
  });

  test('of shares is Wilson’s, of as many as are counted', async () => {
    for (const confidence of [0.5, 0.99]) {
      const wilson = (n: number, { value }: Figure) => wilsonInterval(Math.round(value * n), n, confidence);
      const { precision, recall } = precisionRecall(x, y, { confidence });
      expect(precision).toEqual(wilson(12, precision));
      expect(recall).toEqual(wilson(9, recall));
      expect(winRate([0, 0, 0], [1, 1, -1], confidence)).toMatchObject(wilsonInterval(2, 3, confidence));
      expect(meanShare([1, 0, 1], confidence)).toEqual(wilsonInterval(2, 3, confidence));
      const real = { features: y, captions: Array.from({ length: 9 }, (_, i) => `${i % 3}`) };
      const samples = { features: x, captions: Array.from({ length: 12 }, (_, i) => `${i % 3}`) };
      const { matched: _, ...match } = await captionMatch(samples, real, { key: key(0), candidates: 3, confidence });
      expect(match).toEqual(wilson(12, match));
    }
  });
});
