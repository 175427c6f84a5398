import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  clipTokenizer,
  learnTokenizer,
  noiseSchedule,
  noisingFromConfig,
  textToImage,
  tokenIds,
} from 'diffusion-dpo/diffusion';
import { loadPipelineFolder } from 'diffusion-dpo/diffusion/node';
import { type PretrainOptions, prepareImage, pretraining, pretrainKeys, readSettings } from 'diffusion-dpo/dpo';
import { pretrain, writeCaptioned } from 'diffusion-dpo/dpo/node';
import { learningRateSchedule } from 'diffusion-dpo/nn';
import {
  flattenTree,
  item,
  key,
  openDevice,
  random,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { flatImage, tinyScheduler, tinyTextEncoder, tinyUNet } from '../tinyPipeline.ts';
import { T } from './analyticRun.ts';
import { alphasCumprod, gradientOf, type Memory, mean, stepped } from './naiveTraining.ts';

const device = await openDevice('reference');
setDefaultDevice(device);

/** Four images of 1 × 2 × 2, and the numbers of their captions; the empty one's is 0. */
const images = [0, 1, 2, 3].map((i) => [0, 1, 2, 3].map((j) => 0.3 * i - 0.5 + 0.3 * Math.sin(3 * i + 2 * j)));
const captionIds = [1, 2, 3, 4];
const initial = [0.5, -0.3, 0.2];

/** A model of three numbers: w_0·x + w_1·x·t/T + w_2·caption. */
const model = {
  condition: (_: unknown, ids: Tensor) => ({ context: ids.cast('f32') }),
  predict: ({ w }: { w: Tensor }, x: Tensor, told: Tensor, { context }: { context: Tensor }): Tensor => {
    const at = (i: number) => w.sliceAxis(0, i, i + 1);
    const each = (values: Tensor) => values.cast('f32').reshape([x.shape[0] as number, 1, 1, 1]);
    return x
      .mul(at(0))
      .add(x.mul(each(told).div(T)).mul(at(1)))
      .add(each(context).mul(at(2)));
  },
};

const base = {
  ...{ batchSize: 3, learningRate: 0.05, captionDropout: 0, weightDecay: 0.01, maxGradientNorm: 1, emaDecay: 0.9 },
  optimiser: 'adamw',
} as const;
type Options = Partial<Pick<PretrainOptions, keyof typeof base>>;

async function trained(options: Options, steps: number) {
  const training = pretraining({
    ...{ ...base, ...options, model: model as unknown as PretrainOptions['model'], prediction: 'epsilon', key: key(3) },
    schedule: noiseSchedule({ numTrainTimesteps: T, betaStart: 0.01, betaEnd: 0.2 }),
    learningRateSchedule: (step) => 1 / (1 + step),
    data: {
      images: tensor(images.flat()).reshape([4, 1, 2, 2]),
      ids: tensor(captionIds, { dtype: 'i32' }).reshape([4, 1]),
      emptyIds: tensor([0], { dtype: 'i32' }).reshape([1, 1]),
    },
  });
  let state = await training.init({ w: tensor(initial) } as never);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const { loss, ...next } = await realize(training.step(state));
    losses.push(await item(loss));
    state = next;
  }
  const numbers = async (tree: unknown) => Array.from(await read((tree as { w: Tensor }).w));
  return { losses, params: await numbers(state.optimiser.params), average: await numbers(state.average) };
}

async function naive(options: Options, steps: number) {
  const settings = { ...base, ...options };
  const { batchSize } = settings;
  let w: readonly number[] = initial;
  let average = w;
  const memory: Memory = [[], []];
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const [imageKey, timeKey, noiseKey, dropKey] = random.split(random.foldIn(key(3), step), 4) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const chosen = await read(random.randint(imageKey, [batchSize], 0, 4));
    const times = await read(random.randint(timeKey, [batchSize], 0, T));
    const noise = await read(random.normal(noiseKey, [4 * batchSize]));
    const dropped = await read(random.uniform(dropKey, [batchSize]));
    const lossOf = ([w0, w1, w2]: readonly number[]): number =>
      mean(
        Array.from({ length: 4 * batchSize }, (_, i) => {
          const row = Math.floor(i / 4);
          const [t, number] = [times[row] as number, chosen[row] as number];
          const a2 = alphasCumprod[t] as number;
          const caption = (dropped[row] as number) < settings.captionDropout ? 0 : (captionIds[number] as number);
          const x = Math.sqrt(a2) * (images[number]?.[i % 4] as number) + Math.sqrt(1 - a2) * (noise[i] as number);
          const predicted = (w0 as number) * x + ((w1 as number) * x * t) / T + (w2 as number) * caption;
          return (predicted - (noise[i] as number)) ** 2;
        }),
      );
    losses.push(lossOf(w));
    let g = gradientOf(lossOf, w);
    g = g.map((value) => value * Math.min(1, settings.maxGradientNorm / (Math.hypot(...g) + 1e-6)));
    w = stepped(settings, w, g, settings.learningRate / (1 + step), step + 1, memory);
    const decay = Math.min(settings.emaDecay, step === 0 ? 0 : (1 + step) / (10 + step));
    average = average.map((value, i) => decay * value + (1 - decay) * (w[i] as number));
  }
  return { losses, params: w, average };
}

describe('training from nothing agrees with the equations in plain numbers', () => {
  test.each<Options>([
    {},
    { batchSize: 1 },
    { captionDropout: 0.5 },
    { captionDropout: 1 },
    { optimiser: 'sgd', maxGradientNorm: 0.1 },
    { optimiser: 'sgd', maxGradientNorm: 100, weightDecay: 0.5 },
    { optimiser: 'adafactor', weightDecay: 0.5 },
    { optimiser: 'lion' },
    { weightDecay: 0.5 },
    { emaDecay: 0.1 },
    { learningRate: 0.2 },
  ])('%o', async (options) => {
    const [actual, wanted] = [await trained(options, 4), await naive(options, 4)];
    for (const name of ['losses', 'params', 'average'] as const)
      actual[name].forEach((value, i) => {
        expect(value, `${name} ${i}`).toBeCloseTo(wanted[name][i] as number, 5);
      });
  });
});

describe('a run', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pretraining-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('makes its model of all its settings', async () => {
    const rows = [0, 1, 2, 3, 4].map((i) => ({ caption: `image ${i}`, image: flatImage([40 * i, 100, 200]) }));
    const images = join(folder, 'pictures.parquet');
    await writeCaptioned(rows, images);
    const settings = readSettings(
      'test',
      {
        ...{ images, output: join(folder, 'out'), device: 'reference', seed: 4, merges: 5, size: 4, batchSize: 3 },
        ...{ unet: tinyUNet, textEncoder: tinyTextEncoder, scheduler: tinyScheduler, steps: 3 },
        ...{ optimiser: 'adafactor', learningRate: 0.02, learningRateSchedule: 'linear', warmupSteps: 1 },
        ...{ weightDecay: 0.7, maxGradientNorm: 0.01, emaDecay: 0.1, captionDropout: 0.4 },
        ...{ logEvery: 2, checkpointEvery: 1, keepCheckpoints: 2, sampleSteps: 1, guidance: 1 },
      },
      pretrainKeys,
    );
    const { model: made } = await pretrain(settings);
    const saved = await loadPipelineFolder(made as string);

    // The same by hand.
    const captions = rows.map(({ caption }) => caption);
    const tokenizer = learnTokenizer(captions, { merges: 5, maxLength: 8 });
    const own = textToImage({
      unet: { ...tinyUNet, sample_size: 4 },
      textEncoder: { ...tinyTextEncoder, vocab_size: Object.keys(tokenizer.vocabulary).length },
    });
    const centre = { across: 0.5, down: 0.5, flip: false };
    const values = rows.flatMap(({ image }) => Array.from(prepareImage(image, [4, 4], centre).values));
    const purposes = random.split(key(4), 6);
    const training = pretraining({
      ...{ model: own, ...noisingFromConfig(tinyScheduler), batchSize: 3, learningRate: 0.02, captionDropout: 0.4 },
      ...{ optimiser: 'adafactor', weightDecay: 0.7, maxGradientNorm: 0.01, emaDecay: 0.1, key: purposes[5] as Tensor },
      learningRateSchedule: learningRateSchedule('linear', { warmupSteps: 1, totalSteps: 3 }),
      data: {
        images: tensor(values).reshape([5, 3, 4, 4]),
        ids: tokenIds(clipTokenizer(tokenizer), captions),
        emptyIds: tokenIds(clipTokenizer(tokenizer), ['']),
      },
    });
    let state = await training.init(await realize(own.init(purposes[4] as Tensor)));
    for (let i = 0; i < 3; i++) {
      const { loss: _, ...next } = training.step(state);
      state = await realize(next);
    }
    for (const { path, tensor: one } of flattenTree(state.average)) {
      const other = flattenTree(saved.params).find((leaf) => leaf.path === path)?.tensor as Tensor;
      // Halves are what a pretrained model is saved in.
      expect(Array.from(await read(other)), path).toEqual(Array.from(await read(one.cast('f16'))));
    }
    expect(await readdir(join(settings.output, 'checkpoints'))).toEqual(['step-00000002', 'step-00000003']);
    expect((await readdir(settings.output)).filter((name) => name.startsWith('samples-'))).toHaveLength(3);
  });
});
