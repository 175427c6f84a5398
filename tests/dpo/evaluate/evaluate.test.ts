import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePng, evaluateKeys, type Picture, readSettings, rewardsOf, wilsonInterval } from 'diffusion-dpo/dpo';
import { evaluate, loadReward, train } from 'diffusion-dpo/dpo/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { flatPicture, tinyRun, writeTinyPipeline } from '../tinyPipeline.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evaluate-'));
  await tinyRun(folder);
  await writeTinyPipeline(join(folder, 'tuned'), 1);
  await writePictures('lines.jsonl', [3]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

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

test('compares by a given reward, and passes over rows that cannot be read', async () => {
  const warnings: string[] = [];
  const asked: string[][] = [];
  const reward = {
    name: 'brightness',
    score: (pictures: readonly Picture[], captions: readonly string[]) => {
      asked.push([...captions]);
      return brightness(pictures);
    },
  };
  const summary = await evaluate(settings(), { reward, onWarning: (message) => warnings.push(message) });
  expect(new Set(warnings)).toEqual(new Set([expect.stringMatching(/^skipped: .*lines\.jsonl.*4/)]));
  expect(asked).toHaveLength(2);
  expect(asked[0]).toHaveLength(8);
  expect(summary.rewardName).toBe('brightness');
  expect(summary.reward.base.value).toBeGreaterThan(1);
  expect(summary.frontier.base.reward).toBeCloseTo(summary.reward.base.value, 10);
  // The frontier begins at the base and rises with divergence.
  const rewards = summary.frontier.points.map((point) => point.reward);
  expect(rewards).toEqual(rewards.toSorted((a, b) => a - b));
  expect(summary.frontier.place === null).toBe(summary.frontier.tuned.kl >= summary.frontier.largestDivergence);
  // Seven held-out pairs can be read.
  for (const share of [summary.implicitAccuracy, summary.implicitAccuracyEverywhere])
    expect(share).toEqual(wilsonInterval(share.value * 7, 7));
  const report = await readFile(join(folder, 'out', 'report.html'), 'utf8');
  expect(report).toContain('The most reward (brightness) that a model could reach');
  // β of the margin may be any positive number.
  expect(summary.margin).not.toBe(0);
});

test('stops where more rows than allowed cannot be read', async () => {
  await writePictures('broken.jsonl', [1, 3, 4]);
  await expect(evaluate(settings({ pairs: join(folder, 'broken.jsonl'), maxSkipped: 2 }))).rejects.toThrow(
    /3 rows could not be read, and at most 2 may be skipped \(maxSkipped\):\n.*broken\.jsonl/,
  );
});

test('held-out pairs that cannot be read are told of in training, and count for nothing', async () => {
  const run = await tinyRun(folder, { steps: 2, validationDraws: 2, output: join(folder, 'run') });
  const warnings: string[] = [];
  const { rows } = await train(
    { ...run, validation: [join(folder, 'lines.jsonl')] },
    { onWarning: (message) => warnings.push(message) },
  );
  expect(warnings).toEqual([expect.stringMatching(/^skipped: .*lines\.jsonl.*4/)]);
  expect(rows.at(-1)?.validation?.pairs).toBe(7);
});

describe('rewards', () => {
  const samples = { values: new Float32Array(6), captions: ['a', 'b'], size: [1, 1] } as const;

  test('are one finite number for each picture', async () => {
    await expect(rewardsOf({ name: 'short', score: () => [1] }, samples)).rejects.toThrow(
      'reward short: gave 1 numbers for 2 pictures',
    );
    await expect(rewardsOf({ name: 'bad', score: () => [1, Number.NaN] }, samples)).rejects.toThrow(
      'reward bad: picture 1, "b", was given NaN',
    );
    expect(Array.from(await rewardsOf({ name: 'grey', score: brightness }, samples))).toEqual([128, 128]);
  });

  test('come from a module', async () => {
    const file = join(folder, 'brightness.mjs');
    await writeFile(file, 'export const score = (pictures, captions) => captions.map((caption) => caption.length);');
    const reward = await loadReward(file);
    expect(reward.name).toBe('brightness');
    expect(Array.from(await rewardsOf(reward, samples))).toEqual([1, 1]);
    const other = join(folder, 'other.mjs');
    await writeFile(other, 'export const reward = 1;');
    await expect(loadReward(other)).rejects.toThrow(/exports a function score.*this one exports reward/);
    await expect(loadReward(join(folder, 'none.mjs'))).rejects.toThrow(/cannot load the reward .*none\.mjs/);
  });
});
