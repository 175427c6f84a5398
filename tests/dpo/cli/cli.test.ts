import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyRun, tinyScheduler, tinyTextEncoder, tinyUNet, writeTinyPairs } from '../tinyPipeline.ts';
import { runCli as run } from './runCli.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-'));
  await tinyRun(folder);
  await writeTinyPairs(join(folder, 'held-out.parquet'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Flags of a short run that takes some seconds. */
const trainFlags = (output: string, ...more: string[]): string[] => [
  ...[
    'train',
    '--model',
    join(folder, 'base'),
    '--pairs',
    join(folder, 'pairs.parquet'),
    '--output',
    join(folder, output),
  ],
  ...['--device', 'wasm', '--steps', '40', '--batch-size', '2', '--learning-rate', '1e-3', '--log-every', '1'],
  ...['--checkpoint-every', '5', '--beta', '500', ...more],
];

const weights = (output: string): Promise<Buffer> =>
  readFile(join(folder, output, 'model', 'unet', 'diffusion_pytorch_model.safetensors'));
const timeless = async (output: string): Promise<unknown[]> =>
  (await readFile(join(folder, output, 'metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => {
      const { stepsPerSecond: _, peakBytes: __, ...row } = JSON.parse(line) as Record<string, unknown>;
      return row;
    });

test('a run that is stopped by Ctrl-C, and one that is killed, end as one that is not', async () => {
  const whole = await run(trainFlags('whole'));
  expect(whole.err).toMatch(/β = 500 per mean squared error, β·W_t = 5\.21 per summed one/);
  expect(whole.code).toBe(0);

  const stopped = await run(trainFlags('stopped'), { says: /step 12:/, send: 'SIGINT', twice: true });
  expect(stopped.err).toMatch(/stopped after step \d+; run the same command to resume/);
  expect(stopped.code).toBe(130);

  const killed = await run(trainFlags('killed'), { says: /step 17:/, send: 'SIGKILL' });
  expect(killed.signal).toBe('SIGKILL');
  // At most the steps since the last checkpoint are lost.
  const checkpoints = (await readdir(join(folder, 'killed', 'checkpoints'))).filter((name) => !name.endsWith('.tmp'));
  expect(Number(checkpoints.at(-1)?.slice('step-'.length))).toBeGreaterThanOrEqual(10);

  for (const output of ['stopped', 'killed']) {
    const again = await run(trainFlags(output));
    expect(again.err).toMatch(/resuming after step \d+/);
    expect(again.code).toBe(0);
    expect(await timeless(output)).toEqual(await timeless('whole'));
    expect((await weights(output)).equals(await weights('whole'))).toBe(true);
  }
});

test.each([
  [['train', '--betta', '3'], /unknown option '--betta'[\s\S]*--beta/],
  [['train'], /model: must be given[\s\S]*pairs: must be given/],
  [
    ['train', '--model', 'nowhere', '--pairs', 'nowhere.parquet', '--output', '/tmp/x'],
    /cannot read nowhere\/model_index.json: there is no such file/,
  ],
  [['evaluat'], /unknown command 'evaluat'[\s\S]*evaluate/],
  [['inspect', 'nowhere'], /cannot open nowhere: there is no such file or folder/],
  [['data', 'inspect', 'nowhere.jsonl'], /cannot open nowhere.jsonl: there is no such file/],
  [['data', 'inspect', 'nowhere.jsonl', '--count', '1e9'], /--count must be a whole number from 1 to 1000, got '1e9'/],
  [['train', '--config', 'nowhere.json'], /cannot read nowhere.json: there is no such file/],
] as const)('%j is refused in words, without a stack', async (args, message) => {
  const { code, err } = await run(args);
  expect(err).toMatch(message);
  expect(err).not.toMatch(/\n\s+at /);
  expect(code).toBe(1);
});

test('a configuration file is read, its paths count from its folder, and flags count more', async () => {
  const file = join(folder, 'train.json');
  const settings = {
    model: 'base',
    pairs: ['pairs.parquet'],
    output: 'from-file',
    device: 'reference',
    steps: 9,
    logEvery: 1,
  };
  await writeFile(file, JSON.stringify({ ...settings, batchSize: 2, loraRank: 2 }));
  const { code, out, err } = await run(['train', '--config', file, '--steps', '1', '--json']);
  expect(code).toBe(0);
  expect(err).toContain('note: loraRank has no effect: method is "full", not "lora"');
  expect(JSON.parse(out)).toMatchObject({ steps: 1, stopped: false, model: join(folder, 'from-file', 'model') });
  await writeFile(file, '{"model": "base",}');
  expect((await run(['train', '--config', file])).err).toMatch(/train\.json is not valid JSON.*line 1, column 18/);
  await writeFile(file, JSON.stringify({ ...settings, learningrate: 1 }));
  expect((await run(['train', '--config', file])).err).toMatch(/learningrate: is not known here.*learningRate/);
});

test('pretrain makes a pipeline that sample draws from, inspect tells of and evaluate compares', async () => {
  const file = join(folder, 'pretrain.json');
  const { writeCaptioned } = await import('diffusion-dpo/dpo/node');
  const { flatImage } = await import('../tinyPipeline.ts');
  const image = (i: number) => ({ caption: `image ${i}`, image: flatImage([40 * i, 100, 200]) });
  await writeCaptioned([0, 1, 2, 3, 4].map(image), join(folder, 'pictures.parquet'));
  const { vocab_size: _, ...textEncoder } = { vocab_size: 0, ...tinyTextEncoder };
  const models = { unet: tinyUNet, textEncoder, scheduler: tinyScheduler, merges: 5 };
  const run_ = { images: 'pictures.parquet', output: 'pretrained', device: 'reference', steps: 2, batchSize: 2 };
  await writeFile(file, JSON.stringify({ ...models, ...run_, sampleSteps: 2 }));
  const made = await run(['pretrain', '--config', file, '--json']);
  expect(made.err).toMatch(/5 images of 3 × 4 × 4/);
  const { model } = JSON.parse(made.out) as { model: string };
  const more = await run(['pretrain', '--config', file, '--steps', '3', '--learning-rate-schedule', 'linear']);
  expect(more.err).toMatch(/other settings after step 2: .*steps was 2 and is 3/);
  expect(more.err).toMatch(/learningRateSchedule was "constant_with_warmup" and is "linear"/);
  // Configurations and runs that were made when `images` was called `pictures` go on as they are.
  const { images, ...others } = run_;
  await writeFile(file, JSON.stringify({ ...models, ...others, pictures: images, sampleSteps: 2 }));
  const checkpoints = join(folder, 'pretrained', 'checkpoints');
  for (const name of await readdir(checkpoints)) {
    const record = join(checkpoints, name, 'checkpoint.json');
    await writeFile(record, (await readFile(record, 'utf8')).replace('"images":', '"pictures":'));
  }
  const same = ['pretrain', '--config', file, '--steps', '3', '--learning-rate-schedule', 'linear'];
  expect((await run(same)).err).not.toMatch(/other settings/);
  expect((await run([...same, '--pictures', join(folder, 'pictures.parquet')])).err).not.toMatch(/other settings/);

  const imagePath = join(folder, 'grid.png');
  const drawn = await run([
    ...['sample', '--model', model, '--captions', 'image 1', '--count', '3', '--sampling-steps', '2'],
    ...['--device', 'reference', '--output', imagePath],
  ]);
  expect(drawn.err).toMatch(/3 images in /);
  expect((await readFile(imagePath)).subarray(1, 4).toString()).toBe('PNG');

  const told = await run(['inspect', model]);
  expect(told.out).toMatch(
    /unet: UNet2DConditionModel\n.*diffusion_pytorch_model\.safetensors: \d+ tensors, [\d,]+ parameters, F16/,
  );
  const listed = JSON.parse((await run(['inspect', join(model, 'unet'), '--json'])).out) as { className: string }[];
  expect(listed[0]?.className).toBe('UNet2DConditionModel');

  const summary = await run([
    ...['evaluate', '--base', join(folder, 'base'), '--tuned', model, '--pairs', join(folder, 'held-out.parquet')],
    ...['--train-pairs', join(folder, 'pairs.parquet'), '--preferred', 'bright', '--samples', '8', '--draws', '1'],
    ...[
      '--candidates',
      '2',
      '--sampling-steps',
      '2',
      '--device',
      'wasm',
      '--output',
      join(folder, 'evaluated'),
      '--json',
    ],
  ]);
  expect(summary.err).toBe('');
  const figures = JSON.parse(summary.out) as Record<string, unknown>;
  for (const name of ['preferredShare', 'captionMatch', 'kid'])
    expect(figures[name]).toMatchObject({ base: { value: expect.any(Number), low: expect.any(Number) }, tuned: {} });
  for (const name of ['implicitAccuracy', 'classifierAccuracy', 'klEstimate'])
    expect(figures[name]).toMatchObject({
      value: expect.any(Number),
      low: expect.any(Number),
      high: expect.any(Number),
    });
  expect(figures).toMatchObject({
    seed: 0,
    device: expect.stringContaining('wasm'),
    versions: { node: process.versions.node },
  });
  const report = await readFile(join(folder, 'evaluated', 'report.html'), 'utf8');
  expect(report).toContain('preferredShare');
  expect(report).not.toMatch(/(src|href)="(?!data:|#)/);
});

test('data inspect summarises pairs and draws them', async () => {
  const sheet = join(folder, 'sheet.png');
  const pairs = join(folder, 'pairs.parquet');
  const { out, code } = await run(['data', 'inspect', pairs, pairs, '--sheet', sheet]);
  expect(code).toBe(0);
  expect(out).toMatch(/pairs: 12 with a preference/);
  expect((await readFile(sheet)).subarray(1, 4).toString()).toBe('PNG');
});

test('inspect tells of a checkpoint: its step, its settings, where the data go on', async () => {
  const settings = await tinyRun(join(folder, 'inspected'));
  const { train } = await import('diffusion-dpo/dpo/node');
  await train(settings);
  const { out } = await run(['inspect', join(settings.output, 'checkpoints', 'step-00000004')]);
  expect(out).toMatch(/checkpoint of step 4 of 6, after \d+ s; the data continue in epoch 1 at pair 2/);
  expect(out).toMatch(/\n {4}beta: 500\n/);
  expect(out).toMatch(/state\.safetensors: \d+ tensors/);
  const json = JSON.parse((await run(['inspect', settings.output, '--json'])).out) as { checkpoint?: object }[];
  expect(json.flatMap(({ checkpoint }) => checkpoint ?? [])).toMatchObject([
    { step: 4, position: { epoch: 1, index: 2 }, settings: { beta: 500 } },
    { step: 6, position: { epoch: 2, index: 0 } },
  ]);
});

test('flags take lists, and texts that look like numbers', async () => {
  const pairs = join(folder, 'pairs.parquet');
  const { err, code } = await run([
    ...['train', '--model', join(folder, 'base'), '--output', join(folder, 'lists'), '--device', 'reference'],
    ...['--steps', '1', '--pairs', pairs, pairs, '--size', '4', '4', '--timestep-range', '1', '40'],
  ]);
  expect(err).toMatch(/12 pairs of 3 × 4 × 4/);
  expect(code).toBe(0);
  const grid = join(folder, 'made', 'grid.png');
  const drawn = await run([
    ...['sample', '--model', join(folder, 'base'), '--device', 'reference', '--sampling-steps', '1'],
    ...['--captions', '123', 'a red square', '--output', grid],
  ]);
  expect(drawn.err).toMatch(/2 images in /);
  expect((await readFile(grid)).subarray(1, 4).toString()).toBe('PNG');
});

test('doctor tests what there is', async () => {
  const { out, code } = await run(['doctor', '--json']);
  const found = JSON.parse(out) as {
    devices: { kind: string; error?: number; problem?: string; abilities?: { limits: Record<string, number> } }[];
  };
  expect(found.devices.map(({ kind }) => kind)).toEqual(['webgpu', 'wasm', 'reference']);
  for (const { kind, error, problem } of found.devices)
    if (problem === undefined) expect(error, kind).toBeLessThan(1e-4);
  const [webgpu] = found.devices;
  if (webgpu?.problem === undefined) expect(webgpu?.abilities?.limits.maxBufferSize).toBeGreaterThan(2 ** 27);
  expect(code).toBe(0);
});

test('a folder that cannot be written is named', async () => {
  const blocked = join(folder, 'blocked');
  await mkdir(blocked);
  await writeFile(join(blocked, 'file'), '');
  const { err, code } = await run(trainFlags(join('blocked', 'file', 'inside')));
  expect(err).toMatch(/cannot write .*blocked\/file\/inside: a part of the path is not a folder/);
  expect(code).toBe(1);
});
