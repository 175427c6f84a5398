import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Classifier,
  encodePng,
  evaluateKeys,
  meanShare,
  type Picture,
  readSettings,
  type TrainSettings,
  winRate,
} from 'diffusion-dpo/dpo';
import { decodePicture, type EvaluationSummary, evaluate, saveJudges, train } from 'diffusion-dpo/dpo/node';
import { key, openDevice, read, setDefaultDevice, treeLeaves } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { convClassifier } from '../../../dpo/evaluate/convClassifier.ts';
import { kinds, trainJudges } from '../../../dpo/evaluate/judges.ts';
import { klEstimate } from '../../../dpo/evaluate/klEstimate.ts';
import { measureSamples } from '../../../dpo/evaluate/measureSamples.ts';
import { type RankPairsOptions, rankPairs } from '../../../dpo/train/implicitAccuracy.ts';
import { loadTuned } from '../../../dpo/train/loadTuned.node.ts';
import type { UNetParams } from '../../../dpo/train/runPlan.ts';
import { type SampledPipeline, samplePictures } from '../../../dpo/train/samplePictures.ts';
import { flatPicture, tinyRun, writeTinyPipeline } from '../tinyPipeline.ts';

// What an evaluation hands on is watched.
vi.mock('../../../dpo/evaluate/judges.ts', { spy: true });
vi.mock('../../../dpo/evaluate/klEstimate.ts', { spy: true });
vi.mock('../../../dpo/evaluate/measureSamples.ts', { spy: true });
vi.mock('../../../dpo/train/implicitAccuracy.ts', { spy: true });
vi.mock('../../../dpo/train/samplePictures.ts', { spy: true });
type SampleArguments = Parameters<typeof measureSamples>;

let folder: string;
let run: TrainSettings;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evaluate-'));
  run = await tinyRun(folder);
  await writeTinyPipeline(join(folder, 'tuned'), 1);
  await writePictures('lines.jsonl', [3]);
  await saveJudges(join(folder, 'judges'), {
    kind: untrained(kinds),
    caption: untrained(['a red square', 'a blue square', 'a green dot']),
    accuracy: { value: 0.5, low: 0, high: 1 },
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A judge that has learnt nothing, where it does not matter what it says. */
function untrained(classes: readonly string[]): Classifier {
  const shape = { classes, channels: 3, widths: [4] };
  const network = convClassifier({ ...shape, classes: classes.length });
  return { ...shape, params: network.init(key(0)), statistics: network.initStatistics() };
}

/** Eight pairs as JSONL, some of whose pictures are no pictures. */
async function writePictures(name: string, broken: readonly number[]): Promise<void> {
  await mkdir(join(folder, 'pictures'), { recursive: true });
  const lines = Array.from({ length: 8 }, async (_, i) => {
    const [winner, loser] = [join('pictures', `${name}-${i}-w.png`), join('pictures', `${name}-${i}-l.png`)];
    const bytes = encodePng(flatPicture([200, 150 + i, 240]));
    await writeFile(join(folder, winner), broken.includes(i) ? bytes.subarray(0, 40) : bytes);
    await writeFile(join(folder, loser), encodePng(flatPicture([40, 20, 10 + i])));
    return JSON.stringify({ caption: ['a red square', 'a blue square', 'a green dot'][i % 3], winner, loser });
  });
  await writeFile(join(folder, name), (await Promise.all(lines)).join('\n'));
}

const settings = (changes: Readonly<Record<string, unknown>> = {}) =>
  readSettings(
    'test',
    {
      ...{ base: join(folder, 'base'), tuned: join(folder, 'tuned'), output: join(folder, 'out'), device: 'wasm' },
      ...{ pairs: join(folder, 'lines.jsonl'), trainPairs: join(folder, 'pairs.parquet') },
      ...{ samples: 8, draws: 2, candidates: 2, samplingSteps: 2, batchSize: 3, beta: 0.5, ...changes },
    },
    evaluateKeys,
  );

const brightness = (pictures: readonly Picture[]) =>
  pictures.map(({ data }) => data.reduce((sum, value) => sum + value, 0) / data.length);

/** The output folder of a training that never was: its settings, its result and one row of metrics. */
async function writeRun(name: string, changes: Readonly<Record<string, unknown>>): Promise<string> {
  const run = join(folder, name);
  await mkdir(run);
  await writeFile(join(run, 'settings.json'), JSON.stringify(changes));
  await writeFile(join(run, 'result.json'), JSON.stringify({ steps: 7, seconds: 1000 }));
  await writeFile(join(run, 'metrics.jsonl'), '{"step": 7, "loss": 0.9}\n');
  return run;
}

/** What ranking is said to have found, where it does not matter or its figures are to be known. */
const ranking = {
  correct: Float64Array.of(1, 0.5, 1, 0),
  margin: Float64Array.of(0.5, 0, 0.25, -0.5),
  winnerChange: Float64Array.of(-3, 0, 1, 0),
  loserChange: Float64Array.of(1, 2, 3, 4),
};

describe('the figures of an evaluation', () => {
  const [count, numbers] = [16, 3 * 4 * 4];
  /** Images of which so many are bright and the others dark; in each, the first number tells which image of which pipeline it is. */
  const images = (bright: number, first: number) =>
    Float32Array.from({ length: count * numbers }, (_, i) =>
      i % numbers === 0 ? first + i / numbers / 100 : i / numbers < bright ? 0.5 : -0.5,
    );
  const [ofBase, ofTuned] = [images(8, -0.4), images(12, 0.2)];
  const isBright = {
    name: 'bright',
    score: (all: readonly Picture[]) => brightness(all).map((one) => Number(one > 127)),
  };
  /** At β = 1/log 15 the best model draws bright images with the probability 15/16. */
  const kl = (15 / 16) * Math.log(15 / 8) + (1 / 16) * Math.log(1 / 8);
  let evaluation: Promise<EvaluationSummary>;
  let measured: number[];
  // Awaited by each test, so that tests fail where it does.
  beforeAll(() => {
    vi.mocked(samplePictures).mockResolvedValueOnce(ofBase).mockResolvedValueOnce(ofTuned);
    vi.mocked(rankPairs).mockResolvedValueOnce(ranking);
    vi.mocked(klEstimate).mockImplementationOnce(async ({ pictures }) => {
      measured = Array.from(await read(pictures));
      return Float64Array.from({ length: count }, (_, i) => (i % 2 === 0 ? 0.5 * kl : 1.5 * kl));
    });
    const changes = { samples: count, judges: join(folder, 'judges'), output: join(folder, 'figures') };
    evaluation = evaluate(settings(changes), { reward: isBright });
  });

  test('are of the rewards of base and tuned pipeline', async () => {
    const summary = await evaluation;
    expect(summary.reward).toMatchObject({ base: { value: 0.5 }, tuned: { value: 0.75 } });
    // Images 8 to 11 win, the others are as before.
    expect(summary.winRate).toMatchObject({ value: 0.625, wins: 4, losses: 0, ties: 12, pValue: 2 / 2 ** 4 });
  });

  test('are means of the ranking', async () => {
    const summary = await evaluation;
    expect(summary).toMatchObject({ margin: 0.0625, winnerChange: -0.5, loserChange: 2.5 });
    expect(summary.implicitAccuracy.value).toBe(0.625);
    expect(summary.implicitAccuracyEverywhere).toEqual(summary.implicitAccuracy);
  });

  test('have the frontier of the base’s rewards', async () => {
    const summary = await evaluation;
    // Half of the rewards are 0, half 1: with the best model at β, a share of p = 1/(1 + e^(−1/β)) are 1.
    const { points, base, largestDivergence: most } = summary.frontier;
    expect(base).toEqual({ reward: 0.5, kl: 0 });
    expect(most).toBeCloseTo(Math.log(2), 12);
    // Their deviation is ½, times 8, 4, 2 and 1; at a half of it, fewer than ten samples count.
    expect(points.map(({ beta }) => beta)).toEqual([4, 2, 1, 0.5]);
    for (const point of points) {
      const p = 1 / (1 + Math.exp(-1 / point.beta));
      expect(point.reward).toBeCloseTo(p, 12);
      expect(point.kl).toBeCloseTo(p * Math.log(2 * p) + (1 - p) * Math.log(2 * (1 - p)), 12);
      expect(point.effectiveSamples).toBeCloseTo(8 / (p ** 2 + (1 - p) ** 2), 9);
    }
  });

  test('have the place of the tuned pipeline’s rewards and divergence', async () => {
    const summary = await evaluation;
    const { tuned, place } = summary.frontier;
    expect(tuned.reward).toBe(0.75);
    expect(tuned.kl).toBeCloseTo(kl, 12);
    expect(place?.frontier.reward).toBeCloseTo(15 / 16, 9);
    expect(place?.gap).toBeCloseTo(0.75 - 15 / 16, 9);
    expect(place?.efficiency).toBeCloseTo(0.25 / (7 / 16), 9);
  });

  test('have the divergence on the tuned pipeline’s samples', async () => {
    const summary = await evaluation;
    expect(measured).toEqual(Array.from(ofTuned));
    expect(summary.klEstimate.value).toBeCloseTo(kl, 12);
  });
});

describe('an evaluation', () => {
  const warnings: string[] = [];
  const asked: string[][] = [];
  let summary: EvaluationSummary;
  let report: string;
  let drawn: Record<'base' | 'tuned', readonly Picture[]>;
  let pipelines: Record<'base' | 'tuned', SampledPipeline>;
  let weights: Record<'base' | 'tuned', readonly string[]>;
  beforeAll(async () => {
    vi.clearAllMocks();
    const reward = {
      name: 'brightness',
      score: (pictures: readonly Picture[], captions: readonly string[]) => {
        asked.push([...captions]);
        return brightness(pictures);
      },
    };
    const changes = { objective: 'hinge', beta: 0.25, timesteps: 'all', timestepRange: [30, 39], safeguard: null };
    const run = await writeRun('trained', changes);
    const options = { reward, onWarning: (message: string) => warnings.push(message) };
    summary = await evaluate(settings({ run, beta: null }), options);
    report = await readFile(join(folder, 'out', 'report.html'), 'utf8');
    const pictures = (name: string) =>
      Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const file = join(folder, 'out', 'samples', name, `0000${i}.png`);
          return decodePicture(await readFile(file), file);
        }),
      );
    drawn = { base: await pictures('base'), tuned: await pictures('tuned') };
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
      const values = await samplePictures(pipelines[name], {
        captions,
        seed,
        size: [4, 4],
        steps,
        guidance,
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
  await expect(evaluate(settings({ output }), { reward: early })).rejects.toThrow('reward early: picture 0, ');
  expect(vi.mocked(samplePictures)).not.toHaveBeenCalled();
  expect(vi.mocked(trainJudges)).not.toHaveBeenCalled();
  expect(await readdir(output)).toEqual([]);
  const late = {
    name: 'late',
    score: (pictures: readonly Picture[]) => {
      if (pictures.length > 2) throw new Error('out of memory');
      return brightness(pictures);
    },
  };
  vi.mocked(rankPairs).mockResolvedValueOnce(ranking);
  await expect(evaluate(settings({ output, judges: join(folder, 'judges') }), { reward: late })).rejects.toThrow(
    `reward late: score failed: out of memory; the samples are kept in ${join(output, 'samples')}`,
  );
  for (const name of ['base', 'tuned']) expect(await readdir(join(output, 'samples', name))).toHaveLength(8);
});

test('stops where more rows than allowed cannot be read', async () => {
  await writePictures('broken.jsonl', [1, 3, 4]);
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
