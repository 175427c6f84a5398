import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  encodePng,
  evaluateKeys,
  type Image,
  meanShare,
  readSettings,
  type TrainSettings,
  winRate,
} from 'diffusion-dpo/dpo';
import { decodeImage, type EvaluationSummary, evaluate, saveJudges, train } from 'diffusion-dpo/dpo/node';
import { openDevice, read, setDefaultDevice, treeLeaves } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { trainJudges } from '../../../dpo/evaluate/judges.ts';
import { klEstimate } from '../../../dpo/evaluate/klEstimate.ts';
import { measureSamples } from '../../../dpo/evaluate/measureSamples.ts';
import { keyFor } from '../../../dpo/keys.ts';
import { type RankPairsOptions, rankPairs } from '../../../dpo/train/implicitAccuracy.ts';
import { loadTuned } from '../../../dpo/train/loadTuned.node.ts';
import type { UNetParams } from '../../../dpo/train/runPlan.ts';
import { type SampledPipeline, sampleImages } from '../../../dpo/train/sampleImages.ts';
import { flatImage, tinyRun, writeTinyPipeline } from '../tinyPipeline.ts';
import { knownRanking, untrainedJudges } from './untrainedJudges.ts';

// What an evaluation hands on is watched.
vi.mock('../../../dpo/evaluate/judges.ts', { spy: true });
vi.mock('../../../dpo/evaluate/klEstimate.ts', { spy: true });
vi.mock('../../../dpo/evaluate/measureSamples.ts', { spy: true });
vi.mock('../../../dpo/train/implicitAccuracy.ts', { spy: true });
vi.mock('../../../dpo/train/sampleImages.ts', { spy: true });
type SampleArguments = Parameters<typeof measureSamples>;

let folder: string;
let run: TrainSettings;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evaluate-'));
  run = await tinyRun(folder);
  await writeTinyPipeline(join(folder, 'tuned'), 1);
  await writeImages('lines.jsonl', [3]);
  await saveJudges(join(folder, 'judges'), untrainedJudges());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Eight pairs as JSONL, some of whose images are no images. */
async function writeImages(name: string, broken: readonly number[]): Promise<void> {
  await mkdir(join(folder, 'images'), { recursive: true });
  const lines = Array.from({ length: 8 }, async (_, i) => {
    const [winner, loser] = [join('images', `${name}-${i}-w.png`), join('images', `${name}-${i}-l.png`)];
    const bytes = encodePng(flatImage([200, 150 + i, 240]));
    await writeFile(join(folder, winner), broken.includes(i) ? bytes.subarray(0, 40) : bytes);
    await writeFile(join(folder, loser), encodePng(flatImage([40, 20, 10 + i])));
    return JSON.stringify({ caption: ['a green dot', 'a blue square', 'a red square'][i % 3], winner, loser });
  });
  await writeFile(join(folder, name), (await Promise.all(lines)).join('\n'));
}

const settings = (changes: Readonly<Record<string, unknown>> = {}) =>
  readSettings(
    'test',
    {
      ...{ base: join(folder, 'base'), tuned: join(folder, 'tuned'), output: join(folder, 'out'), device: 'wasm' },
      ...{ pairs: join(folder, 'lines.jsonl'), trainPairs: join(folder, 'pairs.parquet') },
      ...{ samples: 8, seed: 7, draws: 2, candidates: 2, samplingSteps: 2, batchSize: 3, beta: 0.5, ...changes },
    },
    evaluateKeys,
  );

const brightness = (images: readonly Image[]) =>
  images.map(({ data }) => data.reduce((sum, value) => sum + value, 0) / data.length);

/** The output folder of a training that never was: its settings, its result and one row of metrics. */
async function writeRun(name: string, changes: Readonly<Record<string, unknown>>): Promise<string> {
  const run = join(folder, name);
  await mkdir(run);
  await writeFile(join(run, 'settings.json'), JSON.stringify(changes));
  await writeFile(join(run, 'result.json'), JSON.stringify({ steps: 7, seconds: 1000 }));
  await writeFile(join(run, 'metrics.jsonl'), '{"step": 7, "loss": 0.9}\n');
  return run;
}

describe('an evaluation', () => {
  const warnings: string[] = [];
  const asked: string[][] = [];
  let summary: EvaluationSummary;
  let report: string;
  let drawn: Record<'base' | 'tuned', readonly Image[]>;
  let pipelines: Record<'base' | 'tuned', SampledPipeline>;
  let weights: Record<'base' | 'tuned', readonly string[]>;
  beforeAll(async () => {
    vi.clearAllMocks();
    const reward = {
      name: 'brightness',
      score: (images: readonly Image[], captions: readonly string[]) => {
        asked.push([...captions]);
        return brightness(images);
      },
    };
    const changes = { objective: 'hinge', beta: 0.25, timesteps: 'all', timestepRange: [30, 39], safeguard: null };
    const run = await writeRun('trained', changes);
    const options = { reward, onWarning: (message: string) => warnings.push(message) };
    summary = await evaluate(settings({ run, beta: null }), options);
    report = await readFile(join(folder, 'out', 'report.html'), 'utf8');
    const images = (name: string) =>
      Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const file = join(folder, 'out', 'samples', name, `0000${i}.png`);
          return decodeImage(await readFile(file), file);
        }),
      );
    drawn = { base: await images('base'), tuned: await images('tuned') };
    const device = await openDevice('wasm');
    setDefaultDevice(device);
    const load = (name: string) => loadTuned(join(folder, name), null, { device });
    pipelines = { base: await load('base'), tuned: await load('tuned') };
    weights = { base: await numbers(pipelines.base.params.unet), tuned: await numbers(pipelines.tuned.params.unet) };
  });

  const numbers = async (tree: UNetParams) =>
    (await Promise.all(treeLeaves(tree).map((leaf) => read(leaf)))).map(String);

  test('passes over rows that cannot be read, and tells of each once', () => {
    expect(new Set(warnings)).toEqual(new Set([expect.stringMatching(/^skipped: .*lines\.jsonl.*4/)]));
  });

  test('asks the reward for one real image and two before all else, then for the samples of both pipelines', () => {
    expect(asked.map(({ length }) => length)).toEqual([1, 2, 8, 8]);
    // Samples have the captions that were trained on, in turn.
    const captions = ['a red square', 'a blue square', 'a green dot'];
    for (const samples of asked.slice(2)) expect(samples).toEqual(samples.map((_, i) => captions[i % 3]));
    expect(summary.rewardName).toBe('brightness');
    expect(report).toContain('The most reward (brightness) that a model could reach');
  });

  test('keeps the samples of both pipelines on disk, with a list of what belongs together', async () => {
    const list = (await readFile(join(folder, 'out', 'samples', 'samples.jsonl'), 'utf8')).trim().split('\n');
    expect(list.map((line) => JSON.parse(line))).toEqual(
      asked[2]?.map((caption, i) => ({ caption, base: `base/0000${i}.png`, tuned: `tuned/0000${i}.png` })),
    );
    // Sample 5 depends on the pipeline, the seed, its caption and its number alone.
    for (const name of ['base', 'tuned'] as const) {
      const { samplingSteps: steps, guidance, guidanceRescale: rescale, seed } = settings();
      const captions = [asked[2]?.[5] as string];
      const values = await sampleImages(pipelines[name], {
        captions,
        seed,
        size: [4, 4],
        steps,
        guidance: guidance ?? 3,
        rescale,
        first: 5,
      });
      drawn[name][5]?.data.forEach((byte, i) => {
        const [pixel, channel] = [Math.floor(i / 3), i % 3];
        // Rounding may fall to the other side.
        expect(
          Math.abs(byte - Math.min(255, Math.max(0, 127.5 * ((values[16 * channel + pixel] ?? 0) + 1)))),
        ).toBeLessThan(0.51);
      });
    }
  });

  test('compares the rewards of the samples, before with after', () => {
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const [before, after] = [brightness(drawn.base), brightness(drawn.tuned)];
    expect(summary.reward.base.value).toBeCloseTo(mean(before), 9);
    expect(summary.reward.tuned.value).toBeCloseTo(mean(after), 9);
    expect(mean(before)).not.toBeCloseTo(mean(after), 1);
    expect(summary.winRate).toEqual(winRate(before, after));
    expect(summary.winRate.value).not.toBe(0.5);
    const { base, tuned } = summary.frontier;
    expect(base).toEqual({ reward: summary.reward.base.value, kl: 0 });
    expect(tuned).toEqual({ reward: summary.reward.tuned.value, kl: summary.klEstimate.value });
  });

  test('measures the samples of each pipeline in the same way, against all real images', async () => {
    const [ofBase, ofTuned] = await Promise.all(vi.mocked(measureSamples).mock.results.map(({ value }) => value));
    const names = ['preferredShare', 'neitherShare', 'captionMatch', 'kid', 'fid', 'slicedWasserstein'] as const;
    for (const name of [...names, 'precision', 'recall', 'nearest'] as const)
      expect([name, summary[name]]).toEqual([name, { base: ofBase[name], tuned: ofTuned[name] }]);
    const [[first], [second]] = vi.mocked(measureSamples).mock.calls as [SampleArguments, SampleArguments];
    const { values: _, ...shared } = first;
    expect(second).toMatchObject({ captions: shared.captions, real: shared.real, judges: shared.judges });
    expect(await read(second.key)).toEqual(await read(first.key));
    // 6 pairs that were trained on, 7 held-out ones that can be read.
    expect(first.real.captions).toHaveLength(2 * (6 + 7));
    expect(first.real.values).toHaveLength(2 * (6 + 7) * 3 * 16);
    expect(first.real.preferred).toEqual(Array.from({ length: 26 }, (_, i) => i % 2 === 0));
    expect(summary.classifierAccuracy).toEqual(first.judges.accuracy);
    const [[training]] = vi.mocked(trainJudges).mock.calls as [Parameters<typeof trainJudges>];
    expect(await read(training.key)).toEqual(await read(keyFor(7, 'judges')));
    expect([training.train.captions.length, training.heldOut.captions.length]).toEqual([2 * 6, 2 * 7]);
  });

  test('ranks held-out pairs by the tuned model against the base, at the time steps trained at and at all', async () => {
    const calls = vi.mocked(rankPairs).mock.calls as unknown as [RankPairsOptions<UNetParams>][];
    const rankings = await Promise.all(vi.mocked(rankPairs).mock.results.map(({ value }) => value));
    expect(calls).toHaveLength(2);
    const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
    expect(calls.map(([{ task }]) => Array.from(task.timesteps))).toEqual([range(30, 10), range(0, 50)]);
    for (const [{ task, draws, params, reference }] of calls) {
      expect(task.beta).toBe(0.25);
      expect(draws).toBe(2);
      expect(await numbers(params)).toEqual(weights.tuned);
      expect(await numbers(reference as UNetParams)).toEqual(weights.base);
    }
    expect(summary.implicitAccuracy).toEqual(meanShare(rankings[0].correct));
    expect(summary.implicitAccuracyEverywhere).toEqual(meanShare(rankings[1].correct));
    const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / 7;
    expect(summary.margin).toBeCloseTo(mean(rankings[0].margin), 12);
    expect(summary.winnerChange).toBeCloseTo(mean(rankings[0].winnerChange), 12);
    expect(summary.loserChange).toBeCloseTo(mean(rankings[0].loserChange), 12);
  });

  test('estimates the divergence of the tuned model from the base', async () => {
    const [[options]] = vi.mocked(klEstimate).mock.calls as [Parameters<typeof klEstimate>];
    expect(await numbers(options.tuned)).toEqual(weights.tuned);
    expect(await numbers(options.reference)).toEqual(weights.base);
    const values = await vi.mocked(klEstimate).mock.results[0]?.value;
    expect(summary.klEstimate.value).toBeCloseTo(values.reduce((a: number, b: number) => a + b, 0) / 8, 12);
  });

  test('tells of the run: its steps, its time, and where its objective begins', () => {
    expect(summary.steps).toBe(7);
    expect(summary.seconds).toBeGreaterThan(1000);
    expect(report).toContain('1.00, where tuning begins');
    expect(report).not.toContain('log 2, where tuning begins');
  });
});

test('a reward that fails does so before anything is drawn, or leaves the samples on disk', async () => {
  const output = join(folder, 'failed');
  const early = { name: 'early', score: () => [Number.NaN] };
  vi.clearAllMocks();
  await expect(evaluate(settings({ output }), { reward: early })).rejects.toThrow('reward early: image 0, ');
  expect(vi.mocked(sampleImages)).not.toHaveBeenCalled();
  expect(vi.mocked(trainJudges)).not.toHaveBeenCalled();
  expect(await readdir(output)).toEqual([]);
  const late = {
    name: 'late',
    score: (images: readonly Image[]) => {
      if (images.length > 2) throw new Error('out of memory');
      return brightness(images);
    },
  };
  vi.mocked(rankPairs).mockResolvedValueOnce(knownRanking);
  await expect(evaluate(settings({ output, judges: join(folder, 'judges') }), { reward: late })).rejects.toThrow(
    `reward late: score failed: out of memory; the samples are kept in ${join(output, 'samples')}`,
  );
  for (const name of ['base', 'tuned']) expect(await readdir(join(output, 'samples', name))).toHaveLength(8);
});

test('stops where more rows than allowed cannot be read', async () => {
  await writeImages('broken.jsonl', [1, 3, 4]);
  await expect(evaluate(settings({ pairs: join(folder, 'broken.jsonl'), maxSkipped: 2 }))).rejects.toThrow(
    /3 rows could not be read, and at most 2 may be skipped \(maxSkipped\):\n.*broken\.jsonl/,
  );
});

test('held-out pairs that cannot be read are told of in training, and count for nothing', async () => {
  const warnings: string[] = [];
  const { rows } = await train(
    { ...run, steps: 2, validationDraws: 2, validation: [join(folder, 'lines.jsonl')], output: join(folder, 'run') },
    { onWarning: (message) => warnings.push(message) },
  );
  expect(warnings).toEqual([expect.stringMatching(/^skipped: .*lines\.jsonl.*4/)]);
  expect(rows.at(-1)?.validation?.pairs).toBe(7);
});
