import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clipTokenizer, learnTokenizer } from 'diffusion-dpo/diffusion';
import { type Image, type PairSource, readSettings, type TrainSettings, trainKeys } from 'diffusion-dpo/dpo';
import type { TrainHooks, TrainResult } from 'diffusion-dpo/dpo/node';
import { type Device, dispose, type FloatDType, ones, read, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { fullPolicy } from '../../../dpo/train/policy.ts';
import { planRun, type UNetParams } from '../../../dpo/train/runPlan.ts';
import { trainPolicy } from '../../../dpo/train/trainPolicy.node.ts';

/** Time steps of the schedule. */
export const T = 20;
/** Where training begins. */
export const initial = [0.5, -0.3, 0.2, 0.1] as const;

const captions = ['a red square', 'a blue square', 'a green dot'];
const tokenizer = learnTokenizer(captions, { merges: 10, maxLength: 8 });
const { encodePadded } = clipTokenizer(tokenizer);

/** A caption as the model sees it. */
export const captionCode = (caption: string): number =>
  encodePadded(caption).reduce((sum, id, place) => sum + id * (place + 1), 0) / 2000;

/**
 * An image of 2 × 3, which is cropped at the left or at the right. The preferred ones, of even numbers, are brighter by far, so
 * that no slope is a small difference of large numbers.
 */
function image(seed: number): Image {
  const bright = seed % 2 === 0 ? 170 : 60;
  const data = Uint8Array.from({ length: 18 }, (_, i) => bright + 60 * Math.sin(seed * 7.3 + i * 2.1));
  return { width: 3, height: 2, data };
}

export function imagePairs(count = 5, offset = 0): PairSource {
  return {
    ...{ name: 'pairs', count, ties: 0, unlabelled: 0, groups: [{ start: 0, end: count }] },
    read: async (i) => ({
      caption: captions[i % captions.length] as string,
      winner: image(2 * i + offset),
      loser: image(2 * i + 1 + offset),
      place: `row ${i}`,
    }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

interface Weights {
  readonly w: Tensor;
}

/** A pipeline of four numbers: w_0·x + w_1·x·t/T + w_2·caption + w_3·(1 + left edge of the crop). */
const pipelineOf = (weights: Weights) => ({
  config: { unet: { sample_size: 2 }, textEncoder: {} },
  tokenizer,
  scheduler: {
    ...{ _class_name: 'DDIMScheduler', num_train_timesteps: T, beta_schedule: 'linear' },
    ...{ beta_start: 0.01, beta_end: 0.2 },
  },
  params: { unet: weights, text_encoder: {} },
  model: {
    condition: (_: unknown, ids: Tensor) => {
      const places = tensor(Float32Array.from({ length: ids.shape[1] as number }, (_, i) => i + 1));
      const code = ids.cast('f32').mul(places).sum(1).div(2000);
      return { context: code, added: { textEmbeds: ones([ids.shape[0] as number, 1]), timeIds: [] } };
    },
    predict: (
      { unet }: { unet: Weights },
      x: Tensor,
      told: Tensor,
      { context, added }: { context: Tensor; added: { timeIds: readonly (readonly number[])[] } },
    ): Tensor => {
      const w = (i: number) => unet.w.cast('f32').sliceAxis(0, i, i + 1);
      const each = (values: Tensor) => values.cast('f32').reshape([x.shape[0] as number, 1, 1, 1]);
      const left = tensor(Float32Array.from(added.timeIds, (ids) => 1 + (ids[3] as number)));
      return x
        .mul(w(0))
        .add(x.mul(each(told).div(T)).mul(w(1)))
        .add(each(context).mul(w(2)))
        .add(each(left).mul(w(3)));
    },
  },
});

export type Changes = Partial<TrainSettings>;

export const settingsOf = (output: string, changes: Changes): TrainSettings =>
  readSettings(
    'test',
    {
      ...{ model: 'model', pairs: 'pairs', output, device: 'reference', steps: 3, batchSize: 2, beta: 8, logEvery: 1 },
      ...{ learningRate: 0.05, tensorboard: false, ...changes },
    },
    trainKeys,
  );

export interface AnalyticRun {
  readonly settings: TrainSettings;
  readonly result: TrainResult;
  /** What was saved, and its dtype. */
  readonly saved: readonly number[];
  readonly dtype: FloatDType;
  readonly checkpoints: readonly string[];
  readonly warnings: readonly string[];
}

export interface AnalyticOptions {
  readonly hooks?: TrainHooks;
  readonly validation?: PairSource;
  readonly pairs?: PairSource;
  /** A folder of the caller's, which stays; else one for this run alone. */
  readonly output?: string;
}

/** A run of the real trainer on a model whose gradients are known, with the settings' defaults changed. */
export async function analyticRun(
  device: Device,
  changes: Changes = {},
  { hooks = {}, validation, pairs = imagePairs(), output }: AnalyticOptions = {},
): Promise<AnalyticRun> {
  const folder = output ?? (await mkdtemp(join(tmpdir(), 'analytic-')));
  try {
    const settings = settingsOf(folder, changes);
    const pipeline = pipelineOf({ w: tensor([...initial], { dtype: settings.storage }) });
    const plan = await planRun(settings, pipeline as unknown as Parameters<typeof planRun>[1], pairs);
    const model = pipeline.params.unet as unknown as UNetParams;
    const policy = await fullPolicy(model, { hasReference: settings.reference === 'model' });
    let [saved, dtype]: [readonly number[], FloatDType] = [[], 'f32'];
    const warnings: string[] = [];
    const result = await trainPolicy(
      {
        ...{ settings, device, plan, pairs, validation },
        hooks: { onWarning: (message) => warnings.push(message), ...hooks },
      },
      policy,
      model,
      async (tuned) => {
        const { w } = tuned as unknown as Weights;
        [saved, dtype] = [Array.from(await read(w)), w.dtype as FloatDType];
        dispose(tuned);
        return 'saved';
      },
    );
    const checkpoints = await readdir(join(folder, 'checkpoints'));
    return { settings, result, saved, dtype, checkpoints, warnings };
  } finally {
    if (output === undefined) await rm(folder, { recursive: true });
  }
}
