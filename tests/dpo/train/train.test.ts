import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { loadPipelineFolder } from 'diffusion-dpo/diffusion/node';
import { type MetricsRow, sampleImages, type TrainSettings } from 'diffusion-dpo/dpo';
import { loadTuned, train, writePickAPic } from 'diffusion-dpo/dpo/node';
import { flattenTree, read } from 'diffusion-dpo/tensor';
import { openSafetensorsFile } from 'diffusion-dpo/tensor/node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { flatImage, tinyRun, writeTinyPairs, writeTinyPipeline } from '../tinyPipeline.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'train-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Metrics without what a clock measures. */
const timeless = (rows: readonly MetricsRow[]) => rows.map(({ stepsPerSecond: _, peakBytes: __, ...row }) => row);

const weights = (output: string): Promise<Buffer> =>
  readFile(join(output, 'model', 'unet', 'diffusion_pytorch_model.safetensors'));

/** Stops a run after some steps, as Ctrl-C does. */
async function stopAfter(settings: TrainSettings, steps: number) {
  const controller = new AbortController();
  return train(settings, {
    signal: controller.signal,
    onStep: ({ step }) => {
      if (step === steps) controller.abort();
    },
  });
}

test('dpo begins at log 2 and learns to rank its pairs', async () => {
  const settings = await tinyRun(folder, { device: 'wasm', steps: 60, logEvery: 1, learningRate: 3e-3 });
  const { rows, model, stopped } = await train(settings);
  expect(stopped).toBe(false);
  expect(rows[0]?.loss).toBeCloseTo(Math.LN2, 5);
  expect(rows[0]?.accuracy).toBe(0.5);
  const last = rows.slice(-10);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(mean(last.map(({ accuracy }) => accuracy as number))).toBeGreaterThanOrEqual(0.9);
  expect(mean(last.map(({ loss }) => loss))).toBeLessThan(0.4);
  const tuned = await loadPipelineFolder(model as string);
  const base = await loadPipelineFolder(settings.model);
  // Only the UNet was trained.
  for (const part of ['unet', 'text_encoder'] as const) {
    const changed = await Promise.all(
      flattenTree(tuned.params[part]).map(async ({ tensor }, i) => {
        const other = flattenTree(base.params[part])[i]?.tensor;
        return other !== undefined && (await read(tensor)).join() !== (await read(other)).join();
      }),
    );
    expect(changed.some((is) => is)).toBe(part === 'unet');
  }
});

test.each([
  ['full', {}],
  ['on WebAssembly', { device: 'wasm' }],
  [
    'with accumulation, an average and dropped captions',
    { accumulation: 2, emaDecay: 0.9, captionDropout: 0.5, flip: true },
  ],
  ['with weights stored in halves', { storage: 'bf16' }],
  ['of adapters', { method: 'lora', loraRank: 2 }],
  ['with errors computed before', { reference: 'precomputed' }],
] as const)('a run %s that is stopped and goes on ends with the same bits', async (_, changes) => {
  const settings = await tinyRun(folder, changes);
  const whole = await train({ ...settings, output: join(folder, 'whole') });
  const cut = { ...settings, output: join(folder, 'cut') };
  expect((await stopAfter(cut, 3)).stopped).toBe(true);
  const resumed = await train(cut);
  expect(resumed.steps).toBe(6);
  expect(timeless(resumed.rows)).toEqual(timeless(whole.rows));
  const bytes = await Promise.all(
    [whole.model, resumed.model].map(async (path) => {
      const file = path?.endsWith('.safetensors')
        ? path
        : join(path as string, 'unet', 'diffusion_pytorch_model.safetensors');
      return readFile(file);
    }),
  );
  expect(bytes[0]?.equals(bytes[1] as Buffer)).toBe(true);
});

test('errors computed before give what asking the reference gives', async () => {
  const settings = await tinyRun(folder);
  const asked = await train({ ...settings, output: join(folder, 'asked') });
  const before = await train({ ...settings, output: join(folder, 'before'), reference: 'precomputed' });
  expect(timeless(before.rows)).toEqual(timeless(asked.rows));
  expect((await weights(join(folder, 'before'))).equals(await weights(join(folder, 'asked')))).toBe(true);
});

test('a run that is stopped while errors of the reference are computed ends at once, and goes on as if it had not been', async () => {
  const settings = await tinyRun(folder, { reference: 'precomputed' });
  const whole = await train({ ...settings, output: join(folder, 'whole') });
  const controller = new AbortController();
  const cut = { ...settings, output: join(folder, 'cut') };
  const batches: number[] = [];
  const stopped = await train(cut, {
    signal: controller.signal,
    onReference: (done) => {
      batches.push(done);
      controller.abort();
    },
  });
  expect(batches).toEqual([1]);
  expect(stopped).toMatchObject({ stopped: true, steps: 0, model: undefined });
  expect(timeless((await train(cut)).rows)).toEqual(timeless(whole.rows));
});

test('seconds are those of the whole run, before and after it was stopped', async () => {
  const settings = await tinyRun(folder);
  const stopped = await stopAfter(settings, 3);
  // As if it had taken long.
  const record = join(settings.output, 'checkpoints', 'step-00000003', 'checkpoint.json');
  const { seconds, ...rest } = JSON.parse(await readFile(record, 'utf8'));
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual(stopped.seconds);
  await writeFile(record, JSON.stringify({ ...rest, seconds: 5000 }));
  expect((await train(settings)).seconds).toBeGreaterThan(5000);
  expect(JSON.parse(await readFile(join(settings.output, 'result.json'), 'utf8')).seconds).toBeGreaterThan(5000);
});

test('pairs without a preference are refused before anything is said or written', async () => {
  const settings = await tinyRun(folder);
  const file = join(folder, 'ties.parquet');
  const image = flatImage([1, 2, 3]);
  await writePickAPic([{ caption: 'a', winner: image, loser: image, tie: true }], file);
  const said: unknown[] = [];
  const asked = { ...settings, pairs: [file], output: join(folder, 'none') };
  await expect(train(asked, { onStart: (lines) => said.push(lines) })).rejects.toThrow(
    /ties\.parquet holds no pair with a preference: 1 ties and 0 pairs without a label are left out/,
  );
  expect(said).toEqual([]);
  await expect(readdir(asked.output)).rejects.toThrow('ENOENT');
});

test('what β is of is said', async () => {
  const settings = await tinyRun(folder, { steps: 1 });
  const lines = async (objective: TrainSettings['objective']) => {
    const said: string[] = [];
    const output = join(folder, objective);
    await train({ ...settings, objective, output }, { onStart: (all) => said.push(...all) });
    return said.join('\n');
  };
  expect(await lines('dpo')).toContain('dpo, β = 500 per mean squared error, β·W_t = 5.21 per summed one');
  expect(await lines('ipo')).toContain('ipo, τ = 50, β of the margin that is watched only, β = 500 per mean');
});

test('held-out pairs are ranked alike, whether the reference is asked or its errors were computed before', async () => {
  const settings = await tinyRun(folder, { validateEvery: 2, validationDraws: 2 });
  const looking = { ...settings, validation: settings.pairs };
  const asked = await train({ ...looking, output: join(folder, 'asked') });
  const before = await train({ ...looking, output: join(folder, 'before'), reference: 'precomputed' });
  expect(before.rows.filter(({ validation }) => validation !== undefined)).toHaveLength(3);
  expect(timeless(before.rows)).toEqual(timeless(asked.rows));
});

test('a checkpoint holds what is kept, and only complete ones have their name', async () => {
  const settings = await tinyRun(folder, { keepCheckpoints: 2 });
  await train(settings);
  expect(await readdir(join(settings.output, 'checkpoints'))).toEqual(['step-00000004', 'step-00000006']);
  const files = await readdir(settings.output);
  expect(files.filter((name) => !name.startsWith('events.'))).toEqual([
    'checkpoints',
    'metrics.jsonl',
    'model',
    'result.json',
    'settings.json',
  ]);
  expect(files.filter((name) => name.startsWith('events.out.tfevents.'))).toHaveLength(1);
});

test('a run does not go on with other settings', async () => {
  const settings = await tinyRun(folder);
  await stopAfter(settings, 2);
  const before = await readFile(join(settings.output, 'settings.json'), 'utf8');
  await expect(train({ ...settings, beta: 50, seed: 1 })).rejects.toThrow(
    /begun with other settings[\s\S]*seed was 0 and is 1[\s\S]*beta was 500 and is 50/,
  );
  expect(await readFile(join(settings.output, 'settings.json'), 'utf8')).toBe(before);
});

test('a run that drew other numbers from its seed is refused by name', async () => {
  const settings = await tinyRun(folder, { steps: 2, checkpointEvery: 1 });
  await stopAfter(settings, 1);
  const file = join(settings.output, 'checkpoints', 'step-00000001', 'checkpoint.json');
  const record = JSON.parse(await readFile(file, 'utf8'));
  for (const keys of [undefined, record.keys - 1]) {
    await writeFile(file, JSON.stringify({ ...record, keys }));
    await expect(train(settings)).rejects.toThrow(
      /step-00000001: this run was begun by a version of diffusion-dpo that drew other random numbers from its seed/,
    );
  }
  await writeFile(file, JSON.stringify(record));
  expect((await train(settings)).steps).toBe(2);
});

test('errors of the reference that were computed for other settings are computed anew', async () => {
  const settings = await tinyRun(folder, { reference: 'precomputed', logEvery: 1 });
  await train(settings);
  await rm(join(settings.output, 'checkpoints'), { recursive: true });
  const { rows } = await train({ ...settings, seed: 1 });
  expect(rows[0]?.loss).toBeCloseTo(Math.LN2, 6);
  expect(rows[0]?.winnerChange).toBeCloseTo(0, 6);
});

test('numbers that are not finite stop the run with the step, tensors and the last checkpoint', async () => {
  const settings = await tinyRun(folder, {
    learningRate: 1e30,
    optimiser: 'sgd',
    maxGradientNorm: null,
    checkpointEvery: 1,
  });
  const where =
    /not finite begin with: \w+\.[\s\S]*(the last good checkpoint is that of step \d|there is no checkpoint yet)/;
  await expect(train(settings)).rejects.toThrow(where);
  await expect(
    train(await tinyRun(folder, { ...settings, accumulation: 2, checkpointEvery: 100, output: join(folder, 'other') })),
  ).rejects.toThrow(where);
});

test('nor is a model saved that the last step has left so', async () => {
  const settings = await tinyRun(folder, { learningRate: 1e38, optimiser: 'sgd', maxGradientNorm: null, steps: 1 });
  await expect(train(settings)).rejects.toThrow(
    /step 1: it left parameters that are not finite; parameters that are not finite begin with: \w+\.[\s\S]*there is no checkpoint yet/,
  );
  await expect(readdir(join(settings.output, 'model'))).rejects.toThrow('ENOENT');
});

test('where held-out pairs cannot be read the steps are kept, and a run with others goes on', async () => {
  const settings = await tinyRun(folder, { steps: 2, validateEvery: 2, checkpointEvery: 100 });
  const broken = join(folder, 'broken.jsonl');
  await writeFile(broken, '{"caption": "a", "winner": "none.png", "loser": "none.png"}\n');
  await expect(train({ ...settings, validation: [broken] })).rejects.toThrow('none of 1 row can be read');
  expect(await readdir(join(settings.output, 'checkpoints'))).toEqual(['step-00000002']);
  const { steps, model } = await train({ ...settings, validation: settings.pairs });
  expect([steps, model]).toEqual([2, join(settings.output, 'model')]);
});

test('other pairs or another model under the same names are not gone on with, nor are errors of them used', async () => {
  const settings = await tinyRun(folder, { reference: 'precomputed', steps: 4, checkpointEvery: 2, logEvery: 1 });
  await stopAfter(settings, 2);
  await writeTinyPairs(settings.pairs[0] as string, 5);
  await expect(train(settings)).rejects.toThrow('begun with other pairs or another model under the same names');
  await rm(join(settings.output, 'checkpoints'), { recursive: true });
  const { rows } = await train(settings);
  expect(rows[0]?.loss).toBeCloseTo(Math.LN2, 5);
  await rm(join(settings.output, 'checkpoints'), { recursive: true });
  await writeTinyPipeline(settings.model, 1);
  const again = await train(settings);
  expect(again.rows[0]?.loss).toBeCloseTo(Math.LN2, 5);
});

test('a model is not written over, nor are event files of others removed', async () => {
  const settings = await tinyRun(folder, { steps: 1 });
  await expect(train({ ...settings, model: join(settings.output, 'model') })).rejects.toThrow(
    /would be written over .*model, which it begins with/,
  );
  await mkdir(settings.output);
  const [other, own] = ['events.out.tfevents.1.other', 'events.out.tfevents.1.diffusion-dpo'];
  for (const name of [other, own]) await writeFile(join(settings.output, name), 'kept');
  const eventFiles = async () => (await readdir(settings.output)).filter((name) => name.startsWith('events.'));
  await train({ ...settings, tensorboard: false });
  expect((await eventFiles()).sort()).toEqual([own, other]);
  await rm(join(settings.output, 'checkpoints'), { recursive: true });
  await train(settings);
  const files = await eventFiles();
  expect(files).toContain(other);
  expect(files).not.toContain(own);
  expect(files.length).toBe(2);
});

test('one run at a time writes into a folder; what a killed one left does not matter', async () => {
  const settings = await tinyRun(folder, { steps: 1 });
  const both = await Promise.allSettled([train(settings), train(settings)]);
  const refused = both.filter((one) => one.status === 'rejected');
  expect(refused.length).toBe(1);
  expect(String(refused[0]?.reason)).toMatch(new RegExp(`process ${process.pid} is writing there`));
  const lock = join(settings.output, 'run.lock');
  await expect(readFile(lock)).rejects.toThrow('ENOENT');
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  await writeFile(lock, `${gone} ${hostname()}\n`);
  expect((await train(settings)).steps).toBe(1);
  await writeFile(lock, `${gone} elsewhere\n`);
  await expect(train(settings)).rejects.toThrow(`process ${gone} on elsewhere is writing there`);
});

test('a path may be written in another way when a run goes on', async () => {
  const settings = await tinyRun(folder, { steps: 1 });
  await train(settings);
  const pairs = settings.pairs.map((path) => relative(process.cwd(), path));
  expect((await train({ ...settings, pairs, model: relative(process.cwd(), settings.model) })).steps).toBe(1);
});

test('a checkpoint without settings, and a file in the place of checkpoints, are told of in words', async () => {
  const settings = await tinyRun(folder, { steps: 1 });
  await train(settings);
  const record = join(settings.output, 'checkpoints', 'step-00000001', 'checkpoint.json');
  await writeFile(record, '{"step": 1}');
  await expect(train(settings)).rejects.toThrow(/checkpoint\.json: it does not say what the settings were/);
  const other = join(folder, 'other');
  await mkdir(other);
  await writeFile(join(other, 'checkpoints'), '');
  await expect(train({ ...settings, output: other })).rejects.toThrow(/cannot read .*checkpoints: /);
});

test('a safeguard of nothing is refused before anything is written', async () => {
  const settings = await tinyRun(folder, { objective: 'sft', safeguard: 0.9 });
  await expect(train(settings)).rejects.toThrow('safeguard limits the gradient by the other image, and sft has none');
  await expect(readdir(settings.output)).rejects.toThrow('ENOENT');
});

test('where the gradient alone overflows, that is what is said', async () => {
  const settings = await tinyRun(folder, { beta: 1e38, steps: 1 });
  await expect(train(settings)).rejects.toThrow(
    /step 1: the norm of the gradient is (Infinity|NaN); [\s\S]*a smaller beta \(it is 1e\+38\) may help$/,
  );
});

test('adapters are saved as diffusers names them, and give the tuned model', async () => {
  const settings = await tinyRun(folder, { method: 'lora', loraRank: 2, steps: 8, learningRate: 1e-2 });
  const { model } = await train(settings);
  await using file = await openSafetensorsFile(model as string);
  expect(file.names).toContain('unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight');
  const [base, tuned] = [await loadTuned(settings.model, null), await loadTuned(settings.model, model as string)];
  const path = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight';
  const find = (params: unknown) => flattenTree(params).find((leaf) => leaf.path === path)?.tensor;
  const [before, after] = [find(base.params.unet), find(tuned.params.unet)];
  if (before === undefined || after === undefined) throw new Error(`there is no ${path}`);
  expect(Array.from(await read(after))).not.toEqual(Array.from(await read(before)));
});

test('held-out pairs are looked at, and sizes and crops can be told', async () => {
  const settings = await tinyRun(folder, { validateEvery: 3, validationDraws: 1 });
  const { rows } = await train({ ...settings, validation: settings.pairs, timeIds: 'true', crop: 'random' });
  expect(rows.flatMap(({ step, validation }) => (validation === undefined ? [] : [[step, validation.pairs]]))).toEqual([
    [3, 6],
    [6, 6],
  ]);
});

describe('flows', () => {
  const flow = { _class_name: 'FlowMatchEulerDiscreteScheduler', num_train_timesteps: 50, shift: 2 };

  test('are trained by flow-dpo, which is dpo on velocities, from log 2 on', async () => {
    const settings = await tinyRun(folder, { steps: 30, learningRate: 3e-3, logEvery: 1, objective: 'flow-dpo' }, flow);
    const { rows, model } = await train(settings);
    expect(rows[0]?.loss).toBeCloseTo(Math.LN2, 5);
    expect(rows.at(-1)?.loss).toBeLessThan(0.5);
    const same = await train({ ...settings, output: join(folder, 'same'), objective: 'dpo' });
    expect(timeless(same.rows)).toEqual(timeless(rows));
    const tuned = await loadTuned(model as string, null);
    expect(tuned.scheduler).toMatchObject(flow);
    const options = { captions: ['a red square'], seed: 0, size: [4, 4], steps: 5, guidance: 3 } as const;
    const [drawn, before] = [
      await sampleImages(tuned, options),
      await sampleImages(await loadTuned(settings.model, null), options),
    ];
    expect(drawn.every(Number.isFinite)).toBe(true);
    expect(drawn.join()).not.toBe(before.join());
  });

  test('are what flow-dpo needs', async () => {
    const settings = await tinyRun(folder, { objective: 'flow-dpo' });
    await expect(train(settings)).rejects.toThrow(
      /flow-dpo is for pipelines that predict the velocities of a flow.*is a DDIMScheduler with predictions of epsilon/s,
    );
  });
});

test.each(['sft', 'dpo+sft', 'cdpo', 'robust', 'ipo', 'hinge', 'kto', 'mapo', 'dspo', 'dmpo'] as const)(
  'the objective %s trains',
  async (objective) => {
    const settings = await tinyRun(folder, { steps: 2, objective });
    const { rows } = await train(settings);
    expect(Number.isFinite(rows.at(-1)?.loss)).toBe(true);
    expect(rows.at(-1)?.gradientNorm).toBeGreaterThan(0);
  },
);
