import {
  classifierAccuracy,
  classifierFeatures,
  flipAndShift,
  neitherImages,
  predictClasses,
  type TrainClassifierOptions,
  trainClassifier,
} from 'diffusion-dpo/dpo';
import { concat, key, random, read, realize, stack, type Tensor, tensor, treeLeaves } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

const size = 8;

/** Stripes across or along, of random phase, with noise. */
function stripes(seed: number, count: number, axis: 2 | 3): Tensor {
  const [phaseKey, noiseKey] = random.split(key(seed));
  const shape = axis === 2 ? [1, 1, size, 1] : [1, 1, 1, size];
  const places = tensor(Float32Array.from({ length: size }, (_, i) => i)).reshape(shape);
  const phase = random.uniform(phaseKey, [count, 1, 1, 1], { min: 0, max: 4 });
  const wave = places.add(phase).mul(Math.PI / 2);
  return wave
    .sin()
    .mul(0.6)
    .add(random.normal(noiseKey, [count, 3, size, size]).mul(0.2))
    .clamp({ min: -1, max: 1 });
}

const each = 32;
const labels = [0, 1, 2].flatMap((label) => new Array<number>(each).fill(label));
async function images(seed: number): Promise<Tensor> {
  const noise = random
    .normal(key(seed + 2), [each, 3, size, size])
    .mul(0.5)
    .clamp({ min: -1, max: 1 });
  return realize(concat([stripes(seed, each, 2), stripes(seed + 1, each, 3), noise], 0));
}

const training = await images(1);
const options: TrainClassifierOptions = {
  images: training,
  labels,
  classes: ['across', 'along', 'noise'],
  key: key(0),
  widths: [8, 12],
  epochs: 16,
  batchSize: 16,
};
const classifier = await trainClassifier(options);
const fresh = await images(11);

describe('trainClassifier', () => {
  test('finds the classes of images that it has not seen', async () => {
    const { value, low, high } = await classifierAccuracy(classifier, fresh, labels);
    expect(value).toBeGreaterThan(0.9);
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThanOrEqual(value);
  });

  test('depends on its options alone, and tells of each step', async () => {
    const steps: number[] = [];
    const short: TrainClassifierOptions = {
      ...options,
      epochs: 2,
      onStep: ({ step, steps: all, loss, accuracy }) => {
        expect(all).toBe(12);
        expect(loss).toBeGreaterThan(0);
        expect(accuracy * 16).toBeCloseTo(Math.round(accuracy * 16), 5);
        steps.push(step);
      },
    };
    const numbers = async (of: TrainClassifierOptions) => {
      const { params, statistics } = await trainClassifier(of);
      return Promise.all(treeLeaves([params, statistics]).map((x) => read(x)));
    };
    expect(await numbers(short)).toEqual(await numbers({ ...short, onStep: () => {} }));
    expect(steps).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    expect(await numbers({ ...short, key: key(1) })).not.toEqual(await numbers({ ...short, onStep: () => {} }));
  });

  test('stops when it is told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(trainClassifier({ ...options, signal })).rejects.toThrow('enough');
  });

  test('refuses labels and images that do not fit', async () => {
    await expect(trainClassifier({ ...options, labels: [0] })).rejects.toThrow(
      'trainClassifier: 1 labels for 96 images',
    );
    await expect(trainClassifier({ ...options, labels: labels.map((label) => label + 1) })).rejects.toThrow(
      'trainClassifier: label 64 is 3; labels are numbers of classes: 0 across, 1 along, 2 noise',
    );
    await expect(trainClassifier({ ...options, images: training.reshape([96, -1]) })).rejects.toThrow(
      'trainClassifier: needs images',
    );
    await expect(classifierFeatures(classifier, fresh.slice([0, 0], [1, 1]))).rejects.toThrow(
      'classifier: needs images [N, 3, H, W], got f32[1, 1, 8, 8]',
    );
  });
});

describe('a classifier', () => {
  test('says the same of an image in any batch', async () => {
    const [whole, parts] = [
      await predictClasses(classifier, fresh),
      await predictClasses(classifier, fresh, { batchSize: 7 }),
    ];
    expect(parts.classes).toEqual(whole.classes);
    parts.probabilities.forEach((p, i) => {
      expect(p).toBeCloseTo(whole.probabilities[i] as number, 5);
    });
    const features = await classifierFeatures(classifier, fresh, { batchSize: 7 });
    expect(features).toMatchObject({ count: 96, width: 12 });
  });

  test('has probabilities that add up to 1, softmax of the head applied to the features', async () => {
    const { probabilities, classes } = await predictClasses(classifier, fresh);
    const { values, width } = await classifierFeatures(classifier, fresh);
    const { weight, bias } = classifier.params.head;
    const [w, b] = [await read(weight), await read(bias as Tensor)];
    for (const row of [0, 40, 95]) {
      const logits = [0, 1, 2].map((label) => {
        let sum = b[label] as number;
        for (let i = 0; i < width; i++) sum += (values[row * width + i] as number) * (w[label * width + i] as number);
        return sum;
      });
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
      const own = Array.from(probabilities.subarray(row * 3, row * 3 + 3));
      logits.forEach((logit, label) => {
        expect(own[label]).toBeCloseTo(Math.exp(logit) / total, 5);
      });
      expect(classes[row]).toBe(own.indexOf(Math.max(...own)));
    }
  });
});

describe('flipAndShift', () => {
  test('gives each image mirrored or not, moved by at most one pixel', async () => {
    const image = Float32Array.from({ length: 9 }, (_, i) => i);
    const count = 60;
    const batch = tensor(image).reshape([1, 1, 3, 3]).broadcastTo([count, 1, 3, 3]);
    const moved = await read(flipAndShift(batch, key(3)));
    const clamp = (x: number) => Math.min(2, Math.max(0, x));
    const variants = [false, true].flatMap((mirrored) =>
      [-1, 0, 1].flatMap((down) =>
        [-1, 0, 1].map((right) =>
          Array.from(image, (_, i) => {
            const [row, column] = [clamp(Math.floor(i / 3) + down), clamp((i % 3) + right)];
            return row * 3 + (mirrored ? 2 - column : column);
          }).join(),
        ),
      ),
    );
    const seen = Array.from({ length: count }, (_, i) => Array.from(moved.subarray(i * 9, i * 9 + 9)).join());
    for (const one of seen) expect(variants).toContain(one);
    // Of 18 equally likely ones, all but few occur.
    expect(new Set(seen).size).toBeGreaterThan(12);
  });
});

describe('neitherImages', () => {
  const real = stack(
    [-0.9, -0.5, 0, 0.2, 0.6, 1].map((level) => random.uniform(key(5), [3, 4, 4], { min: -0.1, max: 0.1 }).add(level)),
    0,
  ).clamp({ min: -1, max: 1 });

  test('are a pure function of images and key, from −1 to 1', async () => {
    const make = async (seed: number) => Array.from(await read(neitherImages(real, key(seed))));
    expect(await make(1)).toEqual(await make(1));
    expect(await make(1)).not.toEqual(await make(2));
    expect(Math.max(...(await make(1)).map(Math.abs))).toBeLessThanOrEqual(1);
  });

  test('are noise, blends with another image, and washed out, in turn', async () => {
    const [before, after] = [await read(real), await read(neitherImages(real, key(7)))];
    const each = 48;
    const spread = (values: ArrayLike<number>) => {
      const all = Array.from(values);
      const mean = all.reduce((a, b) => a + b, 0) / all.length;
      return Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length);
    };
    const cut = (values: ArrayLike<number>, i: number) => Array.from(values).slice(i * each, (i + 1) * each);
    for (const i of [0, 3]) expect(spread(cut(after, i))).toBeGreaterThan(3 * spread(cut(before, i)));
    for (const i of [1, 4]) {
      // w·x + (1 − w)·x′ for one of the other images and one w.
      const fits = [0, 1, 2, 3, 4, 5].filter((j) => {
        const [x, other, y] = [cut(before, i), cut(before, j), cut(after, i)];
        const shares = y.flatMap((value, k) => {
          const difference = (x[k] as number) - (other[k] as number);
          return Math.abs(difference) < 0.05 ? [] : [(value - (other[k] as number)) / difference];
        });
        return (
          shares.length > 0 &&
          Math.max(...shares) - Math.min(...shares) < 1e-3 &&
          shares.every((w) => w > 0.34 && w < 0.66)
        );
      });
      expect(fits.length).toBeGreaterThan(0);
      expect(fits).not.toContain(i);
    }
    for (const i of [2, 5]) {
      const ratio = spread(cut(after, i)) / spread(cut(before, i));
      expect(ratio).toBeGreaterThan(0.09);
      expect(ratio).toBeLessThan(0.46);
    }
  });

  test('hide, wash out and shift what is seen by shares that are drawn from the ranges said', async () => {
    // Images of ±0.2, as often the one as the other: their mean is 0.
    const count = 300;
    const half = random.bernoulli(key(8), 0.5, [count, 3, 8, 8]).cast('f32').mul(0.4).sub(0.2);
    const images = await realize(concat([half, half.neg()], 3));
    const made = await realize(neitherImages(images, key(9)));
    const slopes = await read(made.mul(images).mean([1, 2, 3]).div(0.04));
    const means = await read(made.mean([1, 2, 3]));
    const ofKind = (values: ArrayLike<number>, kind: number) => Array.from(values).filter((_, i) => i % 3 === kind);
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    // Noise n·ε beyond ±1 is cut off, so that the mean slope is E s·E P(|ε| < 1/n): 0.3 · 0.793 for n from 0.4 to 1.2.
    expect(Math.abs(mean(ofKind(slopes, 0)) - 0.238)).toBeLessThan(0.06);
    // g + c·(x − g) has the slope c and the mean g·(1 − c).
    const contrasts = ofKind(slopes, 2);
    const greys = ofKind(means, 2).map((value, i) => value / (1 - (contrasts[i] as number)));
    for (const [values, least, most] of [
      [contrasts, 0.1, 0.45],
      [greys, -0.2, 1],
    ] as const) {
      const tenth = (most - least) / 10;
      expect(Math.min(...values)).toBeGreaterThan(least - 1e-5);
      expect(Math.min(...values)).toBeLessThan(least + tenth);
      expect(Math.max(...values)).toBeLessThan(most + 1e-5);
      expect(Math.max(...values)).toBeGreaterThan(most - tenth);
    }
  });
});
