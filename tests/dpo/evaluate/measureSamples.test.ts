import {
  fid,
  type Judges,
  kid,
  measureSamples,
  precisionRecall,
  type RealImages,
  slicedWasserstein,
  wilsonInterval,
} from 'diffusion-dpo/dpo';
import { key, openDevice, setDefaultDevice, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import type { Classifier } from '../../../dpo/evaluate/classifier.ts';
import { featuresOf } from './rows.ts';

setDefaultDevice(await openDevice('reference'));

/**
 * A network made by hand: its features are 2 and the mean of each channel that is kept, its logits the head's rows times these.
 */
function handMade(
  classes: readonly string[],
  kept: readonly number[],
  head: readonly (readonly number[])[],
): Classifier {
  const width = kept.length;
  const weight = new Float32Array(width * 3 * 9);
  // The middle of the 3 × 3 places takes the channel as it is.
  kept.forEach((channel, i) => {
    weight[(i * 3 + channel) * 9 + 4] = 1;
  });
  const filled = (value: number) => tensor(new Float32Array(width).fill(value));
  return {
    ...{ classes, channels: 3, widths: [width] },
    params: {
      blocks: [
        {
          conv: { weight: tensor(weight).reshape([width, 3, 3, 3]) },
          norm: { weight: filled(1), bias: filled(2) },
        },
      ],
      head: {
        weight: tensor(Float32Array.from(head.flat())).reshape([classes.length, width]),
        bias: tensor(new Float32Array(classes.length)),
      },
    },
    // So that normalising divides by √(1 − 1e-5 + 1e-5).
    statistics: [{ running_mean: filled(0), running_var: filled(1 - 1e-5) }],
  } as unknown as Classifier;
}

type Colour = readonly [number, number, number];
const red: Colour = [1, -1, -1];
const green: Colour = [-1, 1, -1];
const blue: Colour = [-1, -1, 1];

/** Red is preferred, green the other kind, blue neither; captions are told apart by how blue an image is. */
const judges: Judges = {
  kind: handMade(
    ['preferred', 'other', 'neither'],
    [0, 1, 2],
    [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
  ),
  accuracy: { value: 1, low: 1, high: 1 },
  caption: handMade(['dark', 'light'], [2], [[0], [1]]),
};

/** Flat images of 2 × 2. */
const flat = (colours: readonly Colour[]): Float32Array =>
  Float32Array.from(colours.flatMap((colour) => colour.flatMap((value) => [value, value, value, value])));
const featuresOfColours = (colours: readonly Colour[]) => featuresOf(colours.map((colour) => colour.map((x) => x + 2)));

const preferredColours: readonly Colour[] = [red, [0.75, -1, -0.75], [0.5, -0.5, -1], [1, -0.75, -0.5], [0.75, 0, -1]];
const otherColours: readonly Colour[] = [green, [-1, 1, -0.5], [-0.5, 0.5, -1], [-1, 0.75, 0], [0, 1, 1]];
const realColours = preferredColours.flatMap((colour, i) => [colour, otherColours[i] as Colour]);
const real: RealImages = {
  captions: realColours.map(([, , b]) => (b < -0.6 ? 'dark' : 'light')),
  values: flat(realColours),
  preferred: realColours.map((_, i) => i % 2 === 0),
  models: realColours.map(() => undefined),
};

const sampleColours: readonly Colour[] = [red, green, [0.75, 0, -1], green, blue, [0.5, -0.5, 0.25]];
const captions = ['dark', 'light', 'dark', 'dark', 'dark', 'light'];
const measured = (values = flat(sampleColours)) =>
  measureSamples({ ...{ values, captions, real, judges, size: [2, 2], candidates: 2 }, key: key(0) });

describe('measureSamples', () => {
  test('counts what the judge of kinds calls preferred and neither', async () => {
    const { preferredShare, neitherShare } = await measured();
    expect(preferredShare).toEqual(wilsonInterval(3, 6));
    expect(neitherShare).toEqual(wilsonInterval(1, 6));
  });

  test('scores each sample by the probability of the preferred kind', async () => {
    const { scores } = await measured();
    sampleColours.forEach(([r, g, b], i) => {
      expect(scores[i]).toBeCloseTo(Math.exp(r) / (Math.exp(r) + Math.exp(g) + Math.exp(b)), 5);
    });
  });

  test('finds captions in the features of the judge of captions', async () => {
    // Blue −1 is nearest to the dark real images, but what says light is not; 1 and ¼ are nearest to light ones.
    const { captionMatch } = await measured();
    expect(captionMatch).toEqual(wilsonInterval(4, 6));
  });

  test('takes distances to real images of the preferred kind, in the features of the judge of kinds', async () => {
    const [samples, preferred] = [featuresOfColours(sampleColours), featuresOfColours(preferredColours)];
    const { kid: ofKernel, fid: ofGaussians, slicedWasserstein: sliced, precision, recall } = await measured();
    expect(ofKernel.value).toBeCloseTo(kid(samples, preferred).value, 3);
    expect(ofGaussians.value).toBeCloseTo(fid(samples, preferred).value, 3);
    // Other directions give another distance, but of hundreds of them one that is alike.
    const expectedSliced = await slicedWasserstein(samples, preferred, { key: key(1), projections: 1000 });
    expect(Math.abs(sliced.value / expectedSliced.value - 1)).toBeLessThan(0.1);
    const expected = precisionRecall(samples, preferred);
    expect([precision, recall]).toEqual([expected.precision, expected.recall]);
    expect(precision.value).not.toBe(recall.value);
  });

  test('takes the distance to the nearest real image of either kind', async () => {
    // Red, green and [¾, 0, −1] are real ones; blue is nearest to [−1, ¾, 0], and [½, −½, ¼] to [1, −¾, −½].
    const distances = [0, 0, 0, 0, Math.sqrt(1.75 ** 2 + 1), Math.sqrt(0.25 + 0.0625 + 0.5625)];
    const { nearest } = await measured();
    expect(nearest.value).toBeCloseTo(distances.reduce((a, b) => a + b, 0) / 6, 4);
  });

  test('cuts samples off at −1 and 1, as images are when they are shown', async () => {
    const beyond = flat(sampleColours).map((value) => (Math.abs(value) === 1 ? 3 * value : value));
    expect(await measured(beyond)).toEqual(await measured());
  });

  test('depends on the key alone', async () => {
    expect(await measured()).toEqual(await measured());
  });
});
