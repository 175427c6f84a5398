import { join } from 'node:path';
import { readObject } from '../../diffusion/index.node.ts';
import { clipTokenizer, noisingFromConfig, tokenIds } from '../../diffusion/index.ts';
import { attempt, makeFolder, readWhole, removeLeftovers, replaceText } from '../../tensor/index.node.ts';
import {
  decodeText,
  dispose,
  openDevice,
  realize,
  setDefaultDevice,
  type Tensor,
  TensorError,
} from '../../tensor/index.ts';
import type { EvaluateSettings } from '../config/evaluateKeys.ts';
import type { TrainSettings } from '../config/trainKeys.ts';
import { openPairs } from '../data/openSources.node.ts';
import type { PairSource } from '../data/sources.ts';
import { spreadRows } from '../data/spreadRows.ts';
import { keyFor } from '../keys.ts';
import { dpo, lossAtReference } from '../objectives/index.ts';
import { timestepWeights } from '../objectives/timestepWeights.ts';
import { rankPairs } from '../train/implicitAccuracy.ts';
import { loadTuned } from '../train/loadTuned.node.ts';
import { objectiveOf } from '../train/objectiveOf.ts';
import type { PreferenceTask } from '../train/preferenceStep.ts';
import { imageSizeOf, refuseLatents, type UNetParams } from '../train/runPlan.ts';
import { sampleImages } from '../train/sampleImages.ts';
import { withDefaults } from '../train/samplingDefaults.ts';
import { drawnTimesteps } from '../train/timestepMaps.ts';
import { versions } from '../version.node.ts';
import { bootstrapMean } from './bootstrap.ts';
import { evaluationReport } from './evaluationReport.ts';
import { largestDivergence, placeOnFrontier, rewardKlFrontier } from './frontier.ts';
import { imagesTensor, trainJudges } from './judges.ts';
import { loadJudges } from './judgesFolder.node.ts';
import { klEstimate } from './klEstimate.ts';
import { measureSamples } from './measureSamples.ts';
import { meanShare, winRate } from './proportions.ts';
import { type RealImages, realImages } from './realImages.ts';
import { readMetrics } from './report/metrics.ts';
import { writeReport } from './report/writeReport.node.ts';
import { checkReward, meanReward, type Reward, rewardsOf } from './reward.ts';
import { loadReward } from './rewardModule.node.ts';
import { saveSampleList, saveSamples } from './samplesFolder.node.ts';

/** Hooks that watch, stop or extend an evaluation. */
export interface EvaluateHooks {
  /** Called with the progress of a part, such as `judges` or `samples before`. */
  readonly onProgress?: (part: string, done: number, total: number) => void;
  /** Called for each row that is skipped as unreadable, and where `mostPairs` limits the real images. */
  readonly onWarning?: (message: string) => void;
  /** Scores the samples; default: the module that `settings.reward` names, else the judge of kinds. */
  readonly reward?: Reward;
  readonly signal?: AbortSignal;
}

/** Points of the frontier with a smaller effective sample size are not reported. */
const fewestEffective = 10;

/** The distinct captions, in order. */
const distinct = (captions: readonly string[]): string[] => [...new Set(captions)];

/**
 * Compares a tuned pipeline with its base on held-out pairs and on samples, which both pipelines draw from the same captions
 * and seed. Writes `samples/`, `summary.json` and `report.html` into `settings.output`, and returns the summary.
 * @throws TensorError if `settings` names neither `tuned` nor `lora`, or the base is a latent pipeline
 */
export async function evaluate(settings: EvaluateSettings, hooks: EvaluateHooks = {}) {
  const began = performance.now();
  if (settings.tuned === null && settings.lora === null)
    throw new TensorError('evaluate: there is nothing to compare with base: give tuned, or lora');
  await attempt('write', settings.output, makeFolder(settings.output));
  await removeLeftovers(settings.output, 'samples');
  const device = await openDevice(settings.device);
  setDefaultDevice(device);
  const { signal, onProgress } = hooks;
  const reward = hooks.reward ?? (settings.reward === null ? undefined : await loadReward(settings.reward));
  const { storage: dtype } = settings;
  const base = await loadTuned(settings.base, null, { device, dtype });
  refuseLatents('evaluate', base, settings.base);
  const tuned = await loadTuned(settings.tuned ?? settings.base, settings.lora, { device, dtype });
  const size = imageSizeOf(settings.size, base.config.unet);
  await using heldOutPairs = await openPairs(settings.pairs);
  await using trainPairs = await openPairs(settings.trainPairs);
  const run = await readRun(settings.run);

  const beta = settings.beta ?? Number(run?.settings.beta ?? 5000);
  const [judgeKey, rankKey, klKey, measureKey, bootstrapKey] = (
    ['judges', 'ranking', 'kl', 'measures', 'bootstrap'] as const
  ).map((purpose) => keyFor(settings.seed, purpose)) as [Tensor, Tensor, Tensor, Tensor, Tensor];

  const onSkipped = (message: string): void => hooks.onWarning?.(`skipped: ${message}`);
  const { maxSkipped } = settings;
  const imagesOf = (source: PairSource): Promise<RealImages> => {
    const few = spreadRows(source, settings.mostPairs);
    if (few.count < source.count)
      hooks.onWarning?.(`${source.name}: real images are those of ${few.count} of ${source.count} pairs (mostPairs)`);
    return realImages(few, size, settings.preferred, { maxSkipped, onSkipped });
  };
  const [train, heldOut] = [await imagesOf(trainPairs), await imagesOf(heldOutPairs)];
  if (reward !== undefined) await checkReward(reward, { ...heldOut, size });
  const judges =
    settings.judges === null
      ? await trainJudges({
          ...{ train, heldOut, size, key: judgeKey, signal },
          onStep: (done, total) => onProgress?.('judges', done, total),
        })
      : await loadJudges(settings.judges);

  const { schedule, prediction } = noisingFromConfig(base.scheduler);
  const { numTrainTimesteps } = schedule;
  const task: PreferenceTask<UNetParams> = {
    predict: (unet, noisy, timesteps, conditioning) =>
      base.model.predict({ ...base.params, unet }, noisy, timesteps, conditioning),
    ...{ schedule, prediction, beta, objective: dpo({ beta }), timesteps: drawnTimesteps('all', numTrainTimesteps) },
    weights: timestepWeights('constant', schedule, prediction),
  };
  const tokenizer = clipTokenizer(base.tokenizer);
  const { timesteps = 'all', timestepRange = null } = (run?.settings ?? {}) as Partial<TrainSettings>;
  const trainedAt = drawnTimesteps(timesteps, numTrainTimesteps, timestepRange);
  const rank = (drawn: readonly number[]) =>
    rankPairs({
      ...{ task: { ...task, timesteps: drawn }, params: tuned.params.unet, reference: base.params.unet },
      conditioning: { model: base.model, params: base.params, tokenizer, timeIds: 'constant' },
      batch: { size, batchSize: settings.batchSize, seed: settings.seed, maxSkipped },
      ...{ source: heldOutPairs, draws: settings.draws, key: rankKey, signal },
    });
  const ranking = await rank(trainedAt);
  const implicitAccuracy = meanShare(ranking.correct);
  const isEverywhere = trainedAt.join() === task.timesteps.join();
  const everywhere = isEverywhere ? ranking.correct : (await rank(task.timesteps)).correct;
  const implicitAccuracyEverywhere = meanShare(everywhere);

  // Only runs of preference training have an objective.
  const firstLoss =
    run?.settings.objective === undefined
      ? undefined
      : await lossAtReference(objectiveOf(run.settings as unknown as TrainSettings, numTrainTimesteps));

  const names = distinct(train.captions);
  const captions = Array.from({ length: settings.samples }, (_, i) => names[i % names.length] as string);
  const folder = join(settings.output, 'samples');
  const draw = async (which: 'base' | 'tuned', pipeline: typeof base): Promise<Float32Array> => {
    const values = await sampleImages(pipeline, {
      ...{ captions, size, seed: settings.seed, signal, ...withDefaults(settings, base) },
      ...{ steps: settings.samplingSteps, rescale: settings.guidanceRescale },
      onStep: (done, total) => onProgress?.(which === 'base' ? 'samples before' : 'samples after', done, total),
    });
    await saveSamples(folder, which, { values, captions, size });
    return values;
  };
  const drawn = { base: await draw('base', base), tuned: await draw('tuned', tuned) };
  await saveSampleList(folder, captions);
  const rewarded = (values: Float32Array): Promise<Float64Array> | undefined =>
    reward &&
    rewardsOf(reward, { values, captions, size }).catch((error: unknown) => {
      const problem = error instanceof Error ? error.message : String(error);
      throw new TensorError(`${problem}; the samples are kept in ${folder}`, { cause: error });
    });
  const [rewardsBefore, rewardsAfter] = [await rewarded(drawn.base), await rewarded(drawn.tuned)];
  const real = joined(train, heldOut);
  const measure = (values: Float32Array) =>
    measureSamples({ values, captions, real, judges, size, candidates: settings.candidates, key: measureKey });
  const { scores: judgedBefore, ...ofBase } = await measure(drawn.base);
  const { scores: judgedAfter, ...ofTuned } = await measure(drawn.tuned);
  const [before, after] = [rewardsBefore ?? judgedBefore, rewardsAfter ?? judgedAfter];

  const klCount = Math.min(settings.samples, 64);
  const area = 3 * size[0] * size[1];
  const [conditioning, images] = await realize([
    base.model.condition(base.params, tokenIds(tokenizer, captions.slice(0, klCount)), size),
    imagesTensor(drawn.tuned.slice(0, klCount * area), size),
  ] as const);
  const kl = await klEstimate({
    ...{ task, tuned: tuned.params.unet, reference: base.params.unet, images, conditioning },
    ...{ draws: settings.draws, key: klKey },
  });
  dispose([conditioning, images]);
  const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length;
  const placed = { reward: mean(after), kl: mean(kl) };
  const deviation = Math.sqrt(mean(before.map((one) => (one - mean(before)) ** 2))) || 1;
  const frontier = {
    points: rewardKlFrontier(
      before,
      Array.from({ length: 16 }, (_, i) => 2 ** (3 - i) * deviation),
    ).filter(({ effectiveSamples }) => effectiveSamples >= fewestEffective),
    base: { reward: mean(before), kl: 0 },
    tuned: placed,
    /** The largest divergence that these samples can resolve; beyond it, `place` is null. */
    largestDivergence: largestDivergence(before),
    place: placed.kl === 0 || placed.kl < largestDivergence(before) ? placeOnFrontier(before, placed) : null,
  };

  const both = <Name extends keyof typeof ofBase>(name: Name) => ({ base: ofBase[name], tuned: ofTuned[name] });
  const summary = {
    preferredShare: both('preferredShare'),
    captionMatch: both('captionMatch'),
    kid: both('kid'),
    implicitAccuracy,
    implicitAccuracyEverywhere,
    classifierAccuracy: judges.accuracy,
    klEstimate: await bootstrapMean(kl, { key: bootstrapKey }),
    rewardName: reward?.name ?? 'probability of the preferred kind',
    reward: {
      base: await meanReward(before, bootstrapKey),
      tuned: await meanReward(after, bootstrapKey),
    },
    winRate: winRate(before, after),
    neitherShare: both('neitherShare'),
    fid: both('fid'),
    slicedWasserstein: both('slicedWasserstein'),
    precision: both('precision'),
    recall: both('recall'),
    nearest: both('nearest'),
    margin: mean(ranking.margin),
    winnerChange: mean(ranking.winnerChange),
    loserChange: mean(ranking.loserChange),
    frontier,
    seed: settings.seed,
    steps: run?.steps,
    samples: settings.samples,
    seconds: (run?.seconds ?? 0) + (performance.now() - began) / 1000,
    device: device.description,
    versions: await versions(),
  };
  await replaceText(join(settings.output, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
  await writeReport(
    join(settings.output, 'report.html'),
    evaluationReport({
      ...{ summary, drawn, captions, size, real, rows: run?.rows ?? [], firstLoss },
      config: { training: run?.settings, evaluation: settings, versions: summary.versions, device: summary.device },
    }),
  );
  return summary;
}

/** The figures and details of an evaluation, as `evaluate` returns them and writes them to `summary.json`. */
export type EvaluationSummary = Awaited<ReturnType<typeof evaluate>>;

function joined(a: RealImages, b: RealImages): RealImages {
  const values = new Float32Array(a.values.length + b.values.length);
  values.set(a.values);
  values.set(b.values, a.values.length);
  return {
    captions: [...a.captions, ...b.captions],
    values,
    preferred: [...a.preferred, ...b.preferred],
    models: [...a.models, ...b.models],
  };
}

/** Reads settings, metrics and result from the output folder of a training run. */
async function readRun(folder: string | null) {
  if (folder === null) return undefined;
  const settings = await readObject(join(folder, 'settings.json'));
  const result = await readObject(join(folder, 'result.json'));
  const metrics = join(folder, 'metrics.jsonl');
  const rows = readMetrics(decodeText(await readWhole(metrics), metrics), metrics);
  return { settings, rows, steps: Number(result.steps), seconds: Number(result.seconds) };
}
