import { type TrainClassifierOptions, trainClassifier } from 'diffusion-dpo/dpo';
import { key, read, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

/** Images of one number each, so that the convolution is a product with the middle of its kernel. */
const levels = [-0.5, -0.3, -0.1, 0.2, 0.4, 0.9];
const options: TrainClassifierOptions = {
  images: tensor(levels).reshape([6, 1, 1, 1]),
  labels: [0, 0, 1, 0, 1, 1],
  classes: ['dark', 'bright'],
  key: key(4),
  widths: [3],
  epochs: 1,
  batchSize: 6,
  augment: (images) => images,
};
const numbers = async (x: Tensor | undefined) => Array.from(await read(x as Tensor));

describe('the batches of a classifier', () => {
  test('hold every image once in an epoch, in another order in each, each batch with a key of its own', async () => {
    const seen: { images: Tensor; key: Tensor }[] = [];
    const augment = (images: Tensor, own: Tensor) => {
      seen.push({ images, key: own });
      return images;
    };
    await trainClassifier({ ...options, epochs: 3, batchSize: 2, augment });
    const batches = await Promise.all(seen.map(({ images }) => numbers(images)));
    expect(batches.map(({ length }) => length)).toEqual(new Array(9).fill(2));
    const epochs = [0, 3, 6].map((from) => batches.slice(from, from + 3).flat());
    for (const epoch of epochs)
      epoch.toSorted((a, b) => a - b).forEach((x, i) => void expect(x).toBeCloseTo(levels[i] as number, 6));
    expect(new Set(epochs.map(String)).size).toBe(3);
    const keys = await Promise.all(seen.map(async ({ key: own }) => String(await numbers(own))));
    expect(new Set(keys).size).toBe(9);
  });
});

describe('the steps of a classifier', () => {
  test('keep running statistics: a tenth of those of each batch', async () => {
    // A learning rate of 0 leaves the convolution alone, so that each of two batches has the mean w·x̄ and the variance w²·s².
    const { params, statistics } = await trainClassifier({ ...options, epochs: 2, learningRate: 0 });
    const middle = (await numbers(params.blocks[0]?.conv.weight)).filter((_, i) => i % 9 === 4);
    const mean = levels.reduce((a, b) => a + b) / 6;
    const variance = levels.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 5;
    const [means, variances] = [await numbers(statistics[0]?.running_mean), await numbers(statistics[0]?.running_var)];
    middle.forEach((w, i) => {
      expect(means[i]).toBeCloseTo(0.19 * w * mean, 6);
      expect(variances[i]).toBeCloseTo(0.81 + 0.19 * w ** 2 * variance, 6);
    });
  });

  const head = async (changes: Partial<TrainClassifierOptions>) => {
    const { params } = await trainClassifier({ ...options, ...changes });
    return numbers(params.head.weight);
  };

  test('warm up from 0, and move by the learning rate with a decay of 0.01', async () => {
    const before = await head({ learningRate: 0 });
    expect(await head({ learningRate: 0, epochs: 2 })).toEqual(before);
    // The first of the steps is taken with a rate of 0; the second has the same gradient, of which Adam takes the sign.
    expect(await head({ learningRate: 0.5 })).toEqual(before);
    const after = await head({ learningRate: 0.5, epochs: 2 });
    after.forEach((w, i) => void expect(Math.abs(w - (1 - 0.5 * 0.01) * (before[i] as number))).toBeCloseTo(0.5, 5));
  });

  test('fall as a cosine', async () => {
    // The learning rate is so small that the gradients of the same batch stay as they are; black images have none.
    const [learningRate, epochs, lit] = [1e-4, 12, 4];
    let seen = 0;
    const augment = (images: Tensor) => (seen++ < lit ? images : images.mul(0));
    const [before, after] = [await head({ learningRate: 0 }), await head({ learningRate, epochs, augment })];
    // Adam's moments of a gradient of 1 in the first steps, at a factor that is 0 first.
    let [first, second, expected] = [0, 0, 0];
    for (let step = 0; step < epochs; step++) {
      const gradient = step < lit ? 1 : 0;
      first = 0.9 * first + 0.1 * gradient;
      second = 0.999 * second + 0.001 * gradient;
      const factor = step === 0 ? 0 : (1 + Math.cos((Math.PI * (step - 1)) / (epochs - 1))) / 2;
      expected += (factor * (first / (1 - 0.9 ** (step + 1)))) / Math.sqrt(second / (1 - 0.999 ** (step + 1)));
    }
    after.forEach((w, i) => {
      const moved = Math.abs(w - (before[i] as number)) / learningRate;
      // A fall as a line would move 3.7 % less; what the parameters have moved changes the gradients by less than 1 %.
      expect(Math.abs(moved / expected - 1)).toBeLessThan(0.02);
    });
  });
});
