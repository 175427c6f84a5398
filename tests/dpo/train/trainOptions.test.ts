import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPipelineFolder } from 'diffusion-dpo/diffusion/node';
import type { TrainSettings } from 'diffusion-dpo/dpo';
import { train } from 'diffusion-dpo/dpo/node';
import { initLora, type LoraAdapters, readLora } from 'diffusion-dpo/nn';
import { FormatError, key, openDevice, random, read, setDefaultDevice, type Tensor } from 'diffusion-dpo/tensor';
import { openSafetensorsFile } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyRun } from '../tinyPipeline.ts';
import { analyticRun, imagePairs } from './analyticRun.ts';

const device = await openDevice('reference');
setDefaultDevice(device);

let folder: string;
let base: TrainSettings;
let runs = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'options-'));
  base = await tinyRun(folder, { steps: 1, logEvery: 1, optimiser: 'sgd', weightDecay: 0, maxGradientNorm: null });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (changes: Partial<TrainSettings>) =>
  train({ ...base, output: join(folder, String(runs++)), tensorboard: false, ...changes });

async function adaptersOf(file: string): Promise<LoraAdapters> {
  await using reader = await openSafetensorsFile(file);
  const { params } = await loadPipelineFolder(base.model);
  return (await readLora(reader, { unet: params.unet })).unet as LoraAdapters;
}

const weightsOf = async (folderOfModel: string) => {
  const path = join(folderOfModel, 'unet', 'diffusion_pytorch_model.safetensors');
  await using reader = await openSafetensorsFile(path);
  const name = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight';
  return { dtype: (await reader.entry(name)).dtype, values: Array.from(await read(await reader.read(name))) };
};

test('adapters have the rank, alpha, layers and first values that settings and seed give them', async () => {
  const changes = { method: 'lora', loraRank: 3, loraAlpha: 6, loraTargets: ['**.to_q'], seed: 2 } as const;
  const adapters = await adaptersOf((await run(changes)).model as string);
  const { params } = await loadPipelineFolder(base.model);
  const own = random.split(key(2), 3)[2] as Tensor;
  const begun = initLora(params.unet, own, { rank: 3, alpha: 6, targets: ['**.to_q'] });
  expect(Object.keys(adapters).sort()).toEqual(Object.keys(begun).sort());
  const doubled = await adaptersOf((await run({ ...changes, loraAlpha: 12 })).model as string);
  for (const [path, { down, up, alpha }] of Object.entries(adapters)) {
    expect([alpha, down.shape[0], path.endsWith('to_q')]).toEqual([3, 3, true]);
    // B is 0 at first, so that A has no gradient yet; B's goes with alpha/r, and alpha/r is multiplied into what is saved.
    expect([...(await read(down))]).toEqual([...(await read(begun[path]?.down as Tensor))]);
    const [once, other] = [await read(up), await read(doubled[path]?.up as Tensor)];
    expect(once.some((value) => value !== 0)).toBe(true);
    once.forEach((value, i) => {
      expect(other[i]).toBeCloseTo(4 * Number(value), 6);
    });
  }
});

test('weights are stored and saved in the dtypes that are asked for', async () => {
  const still = { learningRate: 1e-12 };
  const before = (await weightsOf(base.model)).values as number[];
  const halves = await weightsOf((await run({ ...still, storage: 'bf16' })).model as string);
  expect(halves.dtype).toBe('F32');
  expect(halves.values).not.toEqual(before);
  halves.values.forEach((value, i) => {
    expect(Math.abs(Number(value) / (before[i] as number) - 1)).toBeLessThanOrEqual(2 ** -8);
  });
  // Steps that are too small for halves are saved all the same.
  const moved = await weightsOf((await run({ storage: 'bf16' })).model as string);
  expect(moved.values).not.toEqual(halves.values);
  for (const saveDtype of ['f16', 'bf16'] as const) {
    const { model } = await run({ ...still, saveDtype });
    expect((await weightsOf(model as string)).dtype).toBe(saveDtype.toUpperCase());
  }
});

test('checkpointing keeps fewer activations and changes no bit', async () => {
  const [plain, checkpointed] = [await run({ device: 'wasm' }), await run({ device: 'wasm', checkpointing: true })];
  expect(await weightsOf(checkpointed.model as string)).toEqual(await weightsOf(plain.model as string));
  expect(checkpointed.rows[0]?.peakBytes).not.toBe(plain.rows[0]?.peakBytes);
});

test('rows are as many and as long as asked', async () => {
  const { result } = await analyticRun(device, { steps: 7, logEvery: 3, buckets: 4, timestepRange: [5, 19] });
  expect(result.rows.map(({ step, pairs, buckets }) => [step, pairs, buckets.length])).toEqual([
    [3, 6, 3],
    [6, 6, 3],
    [7, 2, expect.any(Number)],
  ]);
  // A part of the time steps in which nothing is drawn has no place.
  expect(result.rows[0]?.buckets.map(({ from, to }) => [from, to])).toEqual([
    [5, 9],
    [10, 14],
    [15, 19],
  ]);
});

test('checkpoints are as many as asked', async () => {
  const { checkpoints } = await analyticRun(device, { steps: 7, checkpointEvery: 2, keepCheckpoints: 3 });
  expect(checkpoints).toEqual(['step-00000004', 'step-00000006', 'step-00000007']);
});

test('event files are written where they are asked for', async () => {
  for (const tensorboard of [true, false]) {
    const output = await mkdtemp(join(folder, 'events-'));
    await analyticRun(device, { steps: 1, tensorboard }, { output });
    expect((await readdir(output)).some((name) => name.startsWith('events.'))).toBe(tensorboard);
  }
});

test('as many broken rows are passed over as settings allow', async () => {
  const pairs = imagePairs();
  const broken = {
    ...pairs,
    read: async (i: number) => {
      if (i % 2 === 1) throw new FormatError(`row ${i} is broken`);
      return pairs.read(i);
    },
  };
  const { warnings } = await analyticRun(device, { steps: 5, maxSkipped: 2 }, { pairs: broken });
  expect(warnings.join()).toContain('row 1 is broken');
  await expect(analyticRun(device, { steps: 5, maxSkipped: 1 }, { pairs: broken })).rejects.toThrow(/broken/);
});

test('the same row is cropped and mirrored in another way in another epoch', async () => {
  // One pair, again and again: what differs is the epoch alone.
  const losses = async (changes: Partial<TrainSettings>) => {
    const { result } = await analyticRun(
      device,
      { steps: 12, batchSize: 1, objective: 'sft', learningRate: 1e-12, timestepRange: [0, 0], ...changes },
      { pairs: imagePairs(1) },
    );
    return result.rows.map(({ loss }) => loss);
  };
  const plain = await losses({});
  for (const changes of [{ flip: true }, { crop: 'random' }] as const) {
    const changed = (await losses(changes)).map((loss, i) => loss !== plain[i]);
    expect(new Set(changed)).toEqual(new Set([true, false]));
  }
});
