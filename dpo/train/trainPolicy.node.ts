import { join } from 'node:path';
import { formatObject } from '../../diffusion/index.ts';
import { countParameters, learningRateSchedule } from '../../nn/index.ts';
import { attempt, makeFolder, replaceText } from '../../tensor/index.node.ts';
import {
  copy,
  type Device,
  dispose,
  item,
  random,
  read,
  realize,
  type Tensor,
  TensorError,
} from '../../tensor/index.ts';
import type { TrainSettings } from '../config/trainKeys.ts';
import type { DataPosition } from '../data/order.ts';
import type { PairSource } from '../data/sources.ts';
import { keyFor, keyVersion, otherKeys } from '../keys.ts';
import { type Checkpoint, latestCheckpoint, loadState, saveCheckpoint, settingsOfRecord } from './checkpoint.node.ts';
import { type RankingDraws, type RankPairsOptions, rankingErrors, rankPairs } from './implicitAccuracy.ts';
import { emptyWindow, type MetricsRow, type MetricsWindow, pairRows, summarize, withBatch } from './metrics.ts';
import { notFinite, notFiniteError } from './notFinite.ts';
import { optimiserOf } from './optimiserOf.ts';
import type { TrainingBatch } from './pairTensors.ts';
import type { Policy } from './policy.ts';
import { errorsFile, precomputedErrors } from './precomputedErrors.node.ts';
import {
  type BatchReport,
  type PreferenceState,
  type PreferenceStep,
  preferenceSteps,
  resultOf,
} from './preferenceStep.ts';
import { realizeWhile } from './realizeWhile.ts';
import { fingerprint } from './run/fingerprint.node.ts';
import { lockRun } from './run/lockRun.node.ts';
import { removeRemains } from './run/removeRemains.node.ts';
import { openRunLog } from './run/runFolder.node.ts';
import { settingsChanges, settingsIdentity } from './run/settingsChanges.node.ts';
import { describeRun, type RunPlan, type UNetParams } from './runPlan.ts';
import type { ErrorsOf } from './storedErrors.ts';
import { warningsOf } from './warnings.ts';

/** How a run is watched and stopped. */
export interface TrainHooks {
  /** Told once before the first step, in lines for people. */
  readonly onStart?: (lines: readonly string[], progress: { readonly from: number; readonly steps: number }) => void;
  /** Told of the batches whose reference errors are computed before the first step. */
  readonly onReference?: (done: number, batches: number) => void;
  readonly onStep?: (progress: { readonly step: number; readonly loss: number }) => void;
  /** Told of each row of metrics. */
  readonly onRow?: (row: MetricsRow) => void;
  /** Told of what deserves a look: rows that were skipped, metrics that give reason to worry. */
  readonly onWarning?: (message: string) => void;
  /** Ends the run after the step that is under way, with a checkpoint; before the first step, at once. */
  readonly signal?: AbortSignal;
}

export interface TrainResult {
  /** Steps made in all. */
  readonly steps: number;
  /** Whether the run was stopped before its end; the same call goes on. */
  readonly stopped: boolean;
  /** The folder of the tuned pipeline, or the file of its adapters; where the run is finished. */
  readonly model: string | undefined;
  readonly rows: readonly MetricsRow[];
  /** In all, up to the last checkpoint where a run was killed. */
  readonly seconds: number;
}

/** What a run is made of. */
export interface TrainRun {
  readonly settings: TrainSettings;
  readonly hooks: TrainHooks;
  readonly device: Device;
  readonly plan: RunPlan;
  readonly pairs: PairSource;
  readonly validation: PairSource | undefined;
}

/** One micro-batch: gradients to add up, or, with the last of a step, the step. */
interface Job<T> {
  readonly report: BatchReport;
  readonly sum?: T;
  readonly update?: PreferenceStep<T>;
  /** What it uses up. */
  readonly donate: unknown;
  /** Where the data go on. */
  readonly position: DataPosition;
}

/** What of a job is computed. */
const resultsOf = <T>({ report, sum, update }: Job<T>) => ({ report, sum, update });

/** Trains a policy and hands what was trained to `save`. While a job is computed, the graph of the next one is built. */
export async function trainPolicy<T>(
  run: TrainRun,
  policy: Policy<UNetParams, T>,
  model: UNetParams,
  save: (trained: T) => Promise<string>,
): Promise<TrainResult> {
  const { settings, hooks, device, plan, pairs, validation } = run;
  const { task, batches } = plan;
  const began = performance.now();
  /** Seconds of this run, those before it was stopped counted. */
  const seconds = (): number => Number(found?.record.seconds ?? 0) + (performance.now() - began) / 1000;
  const { steps: totalSteps, accumulation } = settings;
  const timesteps = task.schedule.numTrainTimesteps;
  const checkpoints = join(settings.output, 'checkpoints');
  await attempt('write', settings.output, makeFolder(settings.output));
  await using _lock = await lockRun(settings.output);
  await removeRemains(settings.output);
  const found = await latestCheckpoint(checkpoints, (message) => hooks.onWarning?.(message));
  const inputs = await fingerprint(pairs, model);
  if (found !== undefined) refuseOthers(found, settings, inputs);
  await replaceText(join(settings.output, 'settings.json'), formatObject(settings));
  const hasHalves = settings.method === 'full' && settings.storage !== 'f32';
  const steps = preferenceSteps({
    task,
    policy,
    optimiser: optimiserOf<T>(settings.optimiser, { weightDecay: settings.weightDecay, hasHalves }),
    maxGradientNorm: settings.maxGradientNorm ?? undefined,
    ema: settings.emaDecay === null ? undefined : { decay: settings.emaDecay },
  });

  const trainingKey = keyFor(settings.seed, 'training');
  /** The key of micro-batch `i` of the whole run. */
  const keyOf = (i: number): Tensor => random.foldIn(trainingKey, i);
  const warned = new Set<string>();
  function warn(name: string, message: string): void {
    if (!warned.has(name)) hooks.onWarning?.(message);
    warned.add(name);
  }
  const from = found?.step ?? 0;
  const draws = validation && validationDraws(run, validation, (message) => warn(message, `skipped: ${message}`));
  let errorsOf: ErrorsOf | undefined;
  let ranking: Omit<RankPairsOptions<UNetParams>, 'params'> | undefined;
  try {
    if (settings.reference === 'precomputed')
      errorsOf = await precomputedErrors({
        ...{
          file: errorsFile(settings.output),
          identity: `${settingsIdentity(settings)} ${inputs} keys ${keyVersion}`,
          count: totalSteps * accumulation,
          reference: model,
        },
        ...{
          task,
          batches,
          batchSize: settings.batchSize,
          keyOf,
          device,
          onBatch: hooks.onReference,
          signal: hooks.signal,
        },
        onAnew: (message) => warn(message, message),
      });
    // Steps will write over the model where it is not kept as the reference.
    if (draws !== undefined) {
      const asked = { ...draws, reference: model, signal: hooks.signal };
      ranking = { ...draws, reference: policy.reference ?? (await rankingErrors(asked)) };
    }
  } catch (error) {
    if (hooks.signal?.aborted !== true || error !== hooks.signal.reason) throw error;
    return { steps: from, stopped: true, model: undefined, rows: [], seconds: seconds() };
  }
  const trained = countParameters(policy.initial);
  let state = await beginning();
  let position = (found?.record.position ?? { epoch: 0, index: 0 }) as DataPosition;
  let window = (found?.record.window ?? emptyWindow(settings.buckets)) as MetricsWindow;
  const log = await openRunLog(settings.output, from, settings);
  hooks.onStart?.([...describeRun(settings, plan, { pairs, validation, trained }), device.description], {
    from,
    steps: totalSteps,
  });

  const schedule = learningRateSchedule(settings.learningRateSchedule, {
    warmupSteps: settings.warmupSteps,
    totalSteps,
  });
  const learningRate = (step: number): number => settings.learningRate * schedule(step);

  /** The state to begin or to go on with. Parameters that are trained are independent of all that stays. */
  async function beginning(): Promise<PreferenceState<T>> {
    const average = settings.emaDecay === null ? undefined : policy.initial;
    const fresh = steps.init(policy.initial, average);
    if (found !== undefined) return loadState(found, fresh, device);
    const realized = await realize(fresh);
    // Two names of one leaf would be one leaf still.
    return average === undefined ? realized : { ...realized, average: await copy(realized.average as T) };
  }

  const stream = batches(position);
  async function build(step: number, part: number, before: PreferenceState<T>, sum: T | undefined): Promise<Job<T>> {
    const { batch, leaves, next: position, skipped } = (await stream.next()).value as TrainingBatch;
    for (const message of skipped) warn(message, `skipped: ${message}`);
    const index = step * accumulation + part;
    const errors = errorsOf?.(index);
    const inputs = { ...batch, referenceErrors: errors };
    if (part + 1 < accumulation) {
      const { sum: next, report } = steps.accumulate(before.optimiser.params, sum, inputs, keyOf(index));
      return { sum: next, report, donate: [leaves, errors, sum], position };
    }
    const update = steps.step(before, sum, accumulation, inputs, keyOf(index), learningRate(step));
    return { update, report: update.report, donate: [leaves, errors, sum, before], position };
  }

  /** What is written down after a step, if anything is. */
  async function record(step: number, mark: number): Promise<boolean> {
    const isEnd = step === totalSteps;
    const looks = isEnd || step % settings.validateEvery === 0 ? ranking : undefined;
    if (!isEnd && looks === undefined && step % settings.logEvery !== 0) return false;
    const row = summarize(window, timesteps, {
      step,
      learningRate: learningRate(step - 1),
      stepsPerSecond: (1000 * window.steps) / (performance.now() - mark),
      peakBytes: device.memory().peakBytes,
      validation: looks && (await validate(looks)),
    });
    await log.append(row);
    hooks.onRow?.(row);
    for (const { name, message } of warningsOf(log.rows, settings)) warn(name, message);
    return true;
  }

  async function validate(options: Omit<RankPairsOptions<UNetParams>, 'params'>) {
    const { correct, margin } = await rankPairs({ ...options, params: policy.parameters(resultOf(state)) });
    const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length;
    return { accuracy: mean(correct), margin: mean(margin), pairs: correct.length };
  }

  const ended = (stopped: boolean, step: number, saved?: string): TrainResult => ({
    ...{ steps: step, stopped, model: saved, rows: log.rows, seconds: seconds() },
  });

  /** What went wrong, and where: the first gradients (or norms of them), or else parameters, that are not finite. */
  async function failure(step: number, what: string, grads: unknown, saved: number): Promise<TensorError> {
    const gradients = grads === undefined ? [] : await notFinite(grads);
    const parameters = gradients.length > 0 ? [] : await notFinite(state.optimiser.params);
    const { storage, beta } = settings;
    const advice =
      `A lower learning rate, a smaller maxGradientNorm or a smaller beta (it is ${beta}) may help` +
      (storage === 'f32' ? '' : '; so may storage f32');
    return notFiniteError({ step, what, found: { gradients, parameters }, saved, checkpoints, advice });
  }

  let saved = from;
  async function keep(step: number): Promise<void> {
    // The loss tells only what parameters were before the step.
    const bad = await notFinite(state.optimiser.params);
    if (bad.length > 0) throw await failure(step, 'it left parameters that are not finite', undefined, saved);
    const record = { settings, keys: keyVersion, inputs, position, window, seconds: seconds() };
    await saveCheckpoint(checkpoints, step, state, record, settings.keepCheckpoints);
    saved = step;
  }

  let mark = performance.now();
  device.resetPeak();
  try {
    let next = from < totalSteps ? await build(from, 0, state, undefined) : undefined;
    for (let step = from, part = 0; next !== undefined; ) {
      const job: Job<T> = next;
      const { report, sum, update } = job;
      const after: PreferenceState<T> = update?.state ?? state;
      [step, part] = update === undefined ? [step, part + 1] : [step + 1, 0];
      next = await realizeWhile(
        resultsOf(job),
        job.donate,
        async () => (step < totalSteps ? build(step, part, after, sum) : undefined),
        (later) => later && resultsOf(later),
      );
      state = after;
      const loss = await item(report.loss);
      const collected = pairRows(await read(report.pairs), report.pairs.shape[1] as number);
      const gradientNorm = update && (await item(update.gradientNorm));
      if (!Number.isFinite(loss) || (gradientNorm !== undefined && !Number.isFinite(gradientNorm)))
        throw await failure(
          update === undefined ? step + 1 : step,
          Number.isFinite(loss) ? `the norm of the gradient is ${gradientNorm}` : `the loss is ${loss}`,
          update?.gradientNorms ?? sum,
          saved,
        );
      dispose([report, update?.gradientNorm, update?.gradientNorms]);
      window = withBatch(window, { loss, gradientNorm, pairs: collected }, timesteps);
      if (update === undefined) continue;

      position = job.position;
      hooks.onStep?.({ step, loss });
      const recorded = await record(step, mark).catch(async (error: unknown) => {
        // What went wrong is not in the parameters, so the steps are kept.
        await keep(step).catch(() => undefined);
        throw error;
      });
      if (recorded) {
        window = emptyWindow(settings.buckets);
        device.resetPeak();
        mark = performance.now();
      }
      const isStopped = hooks.signal?.aborted === true && step < totalSteps;
      if (isStopped || step === totalSteps || step % settings.checkpointEvery === 0) {
        await keep(step);
      }
      if (isStopped) return ended(true, step);
    }
  } finally {
    await stream.return(undefined);
  }
  const result = ended(false, totalSteps, await save(resultOf(state)));
  const { rows: _, ...told } = result;
  await replaceText(join(settings.output, 'result.json'), `${JSON.stringify(told, null, 2)}\n`);
  return result;
}

/** What held-out pairs are judged with: the same draws whenever they are looked at. */
const validationDraws = (
  { settings, plan }: TrainRun,
  source: PairSource,
  onSkipped: (message: string) => void,
): RankingDraws<UNetParams> => ({
  ...{ task: plan.task, batch: plan.batch, conditioning: plan.conditioning, source },
  draws: settings.validationDraws,
  onSkipped,
  key: keyFor(settings.seed, 'validation'),
});

const elsewhere = "Give another `output`, or remove that folder's checkpoints";

/** Refuses to go on with other settings, keys, pairs or weights than a run was begun with. */
function refuseOthers({ folder, record }: Checkpoint, settings: TrainSettings, inputs: string): void {
  const changes = settingsChanges(settingsOfRecord({ folder, record }), settings);
  if (changes.length > 0)
    throw new TensorError(
      `${folder}: this run was begun with other settings, so it cannot go on with these:\n` +
        `${changes.map((change) => `  ${change}`).join('\n')}\n${elsewhere}`,
    );
  if (record.keys !== keyVersion) throw new TensorError(`${folder}: ${otherKeys}, so it cannot go on. ${elsewhere}`);
  if (record.inputs !== undefined && record.inputs !== inputs)
    throw new TensorError(
      `${folder}: this run was begun with other pairs or another model under the same names, so it cannot go on with these. ${elsewhere}`,
    );
}
