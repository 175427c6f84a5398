import { kinds, type RealImages, trainJudges } from 'diffusion-dpo/dpo';
import { key, openDevice, read, setDefaultDevice } from 'diffusion-dpo/tensor';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { classifierAccuracy } from '../../../dpo/evaluate/classifier.ts';
import { trainClassifier } from '../../../dpo/evaluate/trainClassifier.ts';

vi.mock('../../../dpo/evaluate/trainClassifier.ts', { spy: true });
vi.mock('../../../dpo/evaluate/classifier.ts', { spy: true });
setDefaultDevice(await openDevice('reference'));

/** Images of 1 × 1, each of one number, with kinds that alternate. */
function images(numbers: readonly number[], name: string): RealImages {
  return {
    captions: numbers.map((_, i) => `${name} ${i % 2}`),
    values: Float32Array.from(numbers.flatMap((number) => [number, number, number])),
    preferred: numbers.map((_, i) => i % 2 === 0),
    models: numbers.map(() => undefined),
  };
}
const train = images([-1, -0.75, -0.5, -0.25], 'train');
const heldOut = images([0, 0.25, 0.5, 0.75, 1, -0.625], 'held out');
const own = images([0.0625, 0.125], 'own');
const accuracy = { value: 0.5, low: 0.25, high: 0.75 };
const [kind, caption] = [{ classes: kinds }, { classes: ['a caption'] }] as never[];

beforeEach(() => {
  vi.clearAllMocks();
  vi.mocked(trainClassifier)
    .mockResolvedValueOnce(kind as never)
    .mockResolvedValueOnce(caption as never);
  vi.mocked(classifierAccuracy).mockResolvedValue(accuracy);
});

/** What a network was trained on: a number for each image, the labels, and the rest. */
async function trainedOn(call: number) {
  const [options] = vi.mocked(trainClassifier).mock.calls[call] as Parameters<typeof trainClassifier>;
  const values = Array.from(await read(options.images));
  return { ...options, numbers: values.filter((_, i) => i % 3 === 0) };
}

describe('trainJudges', () => {
  test('teaches the judge of kinds 0 for preferred, 1 for others, and 2 for half as many that are neither', async () => {
    const judges = await trainJudges({ train, heldOut, size: [1, 1], key: key(1) });
    expect(judges).toEqual({ kind, accuracy, caption });
    const { labels, numbers, classes, epochs } = await trainedOn(0);
    expect(classes).toEqual(['preferred', 'other', 'neither']);
    expect(labels).toEqual([0, 1, 0, 1, 2, 2]);
    expect(numbers.slice(0, 4)).toEqual([-1, -0.75, -0.5, -0.25]);
    expect(numbers).toHaveLength(6);
    expect(epochs).toBe(24);
  });

  test('measures it on held-out images and such that are neither, made from them', async () => {
    await trainJudges({ train, heldOut, size: [1, 1], key: key(1) });
    const [network, images, labels] = vi.mocked(classifierAccuracy).mock.calls[0] as Parameters<
      typeof classifierAccuracy
    >;
    expect(network).toBe(kind);
    expect(labels).toEqual([0, 1, 0, 1, 0, 1, 2, 2, 2]);
    expect(
      Array.from(await read(images))
        .filter((_, i) => i % 3 === 0)
        .slice(0, 6),
    ).toEqual([0, 0.25, 0.5, 0.75, 1, -0.625]);
  });

  test('teaches the judge of captions those of all real images', async () => {
    await trainJudges({ train, heldOut, size: [1, 1], key: key(1) });
    const { labels, numbers, classes } = await trainedOn(1);
    expect(classes).toEqual(['train 0', 'train 1', 'held out 0', 'held out 1']);
    expect(labels).toEqual([0, 1, 0, 1, 2, 3, 2, 3, 2, 3]);
    expect(numbers).toEqual([-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, -0.625]);
  });

  test('takes other images and epochs for the judge of kinds where they are given', async () => {
    await trainJudges({ ...{ train, heldOut, size: [1, 1], key: key(1) }, kindImages: own, kindEpochs: 3 });
    const { labels, numbers, epochs } = await trainedOn(0);
    expect([labels, epochs]).toEqual([[0, 1, 2], 3]);
    expect(numbers.slice(0, 2)).toEqual([0.0625, 0.125]);
    expect((await trainedOn(1)).numbers).toHaveLength(10);
  });

  test('tells how far both are, in thousandths', async () => {
    const told: (readonly [number, number])[] = [];
    const onStep = (done: number, total: number) => told.push([done, total]);
    await trainJudges({ train, heldOut, size: [1, 1], key: key(1), onStep });
    for (const call of [0, 1]) (await trainedOn(call)).onStep?.({ step: 1, steps: 2, loss: 0, accuracy: 0 });
    expect(told).toEqual([
      [250, 1000],
      [750, 1000],
    ]);
  });

  test('refuses more captions than it can tell apart', async () => {
    const many = images(new Array<number>(2001).fill(0), 'x');
    const named = { ...many, captions: many.captions.map((_, i) => String(i)) };
    await expect(trainJudges({ train: named, heldOut, size: [1, 1], key: key(1) })).rejects.toThrow(
      'trainJudges: 2003 captions are more than 2000; give fewer pairs',
    );
  });
});
