import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clipTokenizer, tokenIds } from 'diffusion-dpo/diffusion';
import { evaluateKeys, type Image, readSettings } from 'diffusion-dpo/dpo';
import { type EvaluationSummary, evaluate, saveJudges } from 'diffusion-dpo/dpo/node';
import { openDevice, read, type Tensor, treeLeaves } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { bootstrapMean } from '../../../dpo/evaluate/bootstrap.ts';
import { evaluationReport } from '../../../dpo/evaluate/evaluationReport.ts';
import { klEstimate } from '../../../dpo/evaluate/klEstimate.ts';
import { measureSamples } from '../../../dpo/evaluate/measureSamples.ts';
import { type KeyPurpose, keyFor } from '../../../dpo/keys.ts';
import { rankPairs } from '../../../dpo/train/implicitAccuracy.ts';
import { loadTuned } from '../../../dpo/train/loadTuned.node.ts';
import { sampleImages } from '../../../dpo/train/sampleImages.ts';
import { writeTinyPairs, writeTinyPipeline } from '../tinyPipeline.ts';
import { knownRanking, untrainedJudges } from './untrainedJudges.ts';

// Samples, ranking and divergence are given, so that the figures are known; the rest is watched.
vi.mock('../../../dpo/evaluate/evaluationReport.ts', { spy: true });
vi.mock('../../../dpo/evaluate/klEstimate.ts', { spy: true });
vi.mock('../../../dpo/evaluate/measureSamples.ts', { spy: true });
vi.mock('../../../dpo/train/implicitAccuracy.ts', { spy: true });
vi.mock('../../../dpo/train/loadTuned.node.ts', { spy: true });
vi.mock('../../../dpo/train/sampleImages.ts', { spy: true });

const [count, numbers] = [16, 3 * 8 * 8];
/** Images of which so many are bright and the others dark; the first number of each tells it from all others. */
const images = (bright: number, first: number) =>
  Float32Array.from({ length: count * numbers }, (_, i) => {
    const image = Math.floor(i / numbers);
    if (i % numbers === 0) return first + image / 100;
    return image < bright ? 0.5 : -0.5;
  });
const [ofBase, ofTuned] = [images(8, -0.4), images(12, 0.2)];
const isBright = {
  name: 'bright',
  score: (all: readonly Image[]) =>
    all.map(({ data }) => Number(data.reduce((sum, value) => sum + value, 0) / data.length > 127)),
};
/** The divergence of the best model at β = 1/log 15, which draws bright images with the probability 15/16 instead of ½. */
const kl = (15 / 16) * Math.log(15 / 8) + (1 / 16) * Math.log(1 / 8);
// From kl/16 to 31/16·kl, with the mean kl.
const kls = Float64Array.from({ length: count }, (_, i) => (kl * (i + 0.5)) / 8);

let folder: string;
// Awaited by each test, so that tests fail where it does.
let evaluation: Promise<EvaluationSummary>;
let measured: { readonly images: readonly number[]; readonly conditioning: readonly string[] };
const warnings: string[] = [];
const leavesOf = (tree: unknown) =>
  Promise.all(treeLeaves(tree as Tensor[]).map(async (leaf) => String(await read(leaf))));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evaluate-'));
  await writeTinyPipeline(join(folder, 'base'));
  await writeTinyPipeline(join(folder, 'tuned'), 1);
  await writeTinyPairs(join(folder, 'pairs.parquet'));
  await saveJudges(join(folder, 'judges'), untrainedJudges());
  const { loadTuned: load } = await vi.importActual<typeof import('../../../dpo/train/loadTuned.node.ts')>(
    '../../../dpo/train/loadTuned.node.ts',
  );
  vi.mocked(loadTuned)
    .mockImplementationOnce(load)
    .mockImplementationOnce((_folder, _lora, options) => load(join(folder, 'tuned'), null, options));
  vi.mocked(sampleImages).mockResolvedValueOnce(ofBase).mockResolvedValueOnce(ofTuned);
  vi.mocked(rankPairs).mockResolvedValueOnce(knownRanking);
  vi.mocked(klEstimate).mockImplementationOnce(async ({ images, conditioning }) => {
    measured = { images: Array.from(await read(images)), conditioning: await leavesOf(conditioning) };
    return kls;
  });
  const settings = readSettings(
    'test',
    {
      ...{ base: join(folder, 'base'), lora: 'adapters', output: join(folder, 'out'), device: 'wasm', seed: 5 },
      ...{ pairs: join(folder, 'pairs.parquet'), trainPairs: join(folder, 'pairs.parquet'), beta: 0.5, size: 8 },
      ...{ judges: join(folder, 'judges'), preferred: 'dark', mostPairs: 5, samples: count, candidates: 3 },
      ...{ draws: 4, batchSize: 3, maxSkipped: 2, samplingSteps: 7, guidance: 2, guidanceRescale: 0.25 },
      sampleBatchSize: 6,
    },
    evaluateKeys,
  );
  evaluation = evaluate(settings, { reward: isBright, onWarning: (message) => warnings.push(message) });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the figures of an evaluation', () => {
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

  test('have the divergence on the tuned pipeline’s samples, each told its caption by the base', async () => {
    const summary = await evaluation;
    expect(measured.images).toEqual(Array.from(ofTuned));
    expect(summary.klEstimate).toEqual(await bootstrapMean(kls, { key: keyFor(5, 'bootstrap') }));
    const { model, params, tokenizer } = await loadTuned(join(folder, 'base'), null, {
      device: await openDevice('wasm'),
    });
    const captions = Array.from(
      { length: count },
      (_, i) => ['a red square', 'a blue square', 'a green dot'][i % 3] as string,
    );
    const conditioning = await model.condition(params, tokenIds(clipTokenizer(tokenizer), captions), [8, 8]);
    expect(measured.conditioning).toEqual(await leavesOf(conditioning));
  });
});

describe('an evaluation hands on', () => {
  /** What the n-th call of a function was given last. */
  const given = <Given>(mock: { readonly mock: { readonly calls: readonly (readonly Given[])[] } }, call = 0) =>
    mock.mock.calls[call]?.at(-1) as Given;
  const isKey = async (key: Tensor, purpose: KeyPurpose) =>
    expect(await read(key)).toEqual(await read(keyFor(5, purpose)));

  test('its adapters to the tuned pipeline alone', async () => {
    await evaluation;
    expect(
      vi
        .mocked(loadTuned)
        .mock.calls.slice(0, 2)
        .map(([from, lora]) => [from, lora]),
    ).toEqual([
      [join(folder, 'base'), null],
      [join(folder, 'base'), 'adapters'],
    ]);
  });

  test('its settings to the sampler', async () => {
    await evaluation;
    for (const call of [0, 1])
      expect(given(vi.mocked(sampleImages), call)).toMatchObject({
        ...{ seed: 5, size: [8, 8], steps: 7, guidance: 2, rescale: 0.25, batchSize: 6 },
      });
  });

  test('its settings to the ranking', async () => {
    await evaluation;
    const { task, batch, draws, key } = given(vi.mocked(rankPairs));
    expect({ beta: task.beta, draws, batch }).toEqual({
      ...{ beta: 0.5, draws: 4, batch: { size: [8, 8], batchSize: 3, seed: 5, maxSkipped: 2 } },
    });
    await isKey(key, 'ranking');
  });

  test('its settings to the measures, with real images of the preferred model from as many pairs as it may take', async () => {
    await evaluation;
    const { real, candidates, key } = given(vi.mocked(measureSamples));
    expect(candidates).toBe(3);
    await isKey(key, 'measures');
    expect(real.preferred).toEqual(Array.from({ length: 20 }, (_, i) => i % 2 === 1));
    expect(warnings).toEqual(new Array(2).fill(expect.stringContaining('are those of 5 of 6 pairs (mostPairs)')));
  });

  test('its settings to the divergence', async () => {
    await evaluation;
    const { draws, key } = given(vi.mocked(klEstimate));
    expect(draws).toBe(4);
    await isKey(key, 'kl');
  });

  test('samples, real images and figures to the report', async () => {
    const summary = await evaluation;
    const { real } = given(vi.mocked(measureSamples));
    const report = given(vi.mocked(evaluationReport));
    expect(report).toMatchObject({ summary, real, size: [8, 8], rows: [] });
    expect(report.drawn).toEqual({ base: ofBase, tuned: ofTuned });
  });
});
