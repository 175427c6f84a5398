import { join } from 'node:path';
import { formatObject } from '../../diffusion/index.ts';
import { countParameters, learningRateSchedule } from '../../nn/index.ts';
import { replaceText } from '../../tensor/index.node.ts';
import { copy, type Device, item, random, read, realize, type Tensor } from '../../tensor/index.ts';
import type { TrainSettings } from '../config/trainKeys.ts';
import type { DataPosition } from '../data/order.ts';
import type { PairSource } from '../data/sources.ts';
import { keyFor, keyVersion } from '../keys.ts';
import { type Checkpoint, loadState } from './checkpoint.node.ts';
import { type RankingDraws, type RankPairsOptions, rankingErrors, rankPairs } from './implicitAccuracy.ts';
import { type MetricsRow, type MetricsWindow, pairRows } from './metrics.ts';
import { optimiserOf } from './optimiserOf.ts';
import type { Policy } from './policy.ts';
import { type PolicyJob, policyJobs } from './policyJobs.ts';
import { errorsFile, precomputedErrors } from './precomputedErrors.node.ts';
import { type PreferenceState, preferenceSteps, resultOf } from './preferenceStep.ts';
import { fingerprint, refuseOtherRun } from './run/sameRun.node.ts';
import { settingsIdentity } from './run/settingsChanges.node.ts';
import { openRunMetrics } from './runMetrics.node.ts';
import { describeRun, type RunPlan, type UNetParams } from './runPlan.ts';
import type { ErrorsOf } from './storedErrors.ts';
import { type RunHooks, type RunOutcome, type Training, trainLoop } from './trainLoop.node.ts';

/** Callbacks that watch a run of `train`, and the signal that stops it. */
export interface TrainHooks extends RunHooks {
  /** Called after each batch whose reference errors are computed before the first step. */
  readonly onReference?: (done: number, batches: number) => void;
  /** Called with each row of metrics. */
  readonly onRow?: (row: MetricsRow) => void;
}

/** How a run of `train` ended. `model` is the folder of the tuned pipeline, or the file of its adapters. */
export interface TrainResult extends RunOutcome {
  readonly rows: readonly MetricsRow[];
  /** Seconds of the whole run; those after the last training checkpoint are lost where a run was killed. */
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

/** Trains a policy, and calls `save` with what was trained; `save` writes it and returns the path. */
export async function trainPolicy<T>(
  run: TrainRun,
  policy: Policy<UNetParams, T>,
  model: UNetParams,
  save: (trained: T) => Promise<string>,
): Promise<TrainResult> {
  const { settings, hooks, device, plan, pairs, validation } = run;
  const { output, seed, accumulation } = settings;
  const began = performance.now();
  let secondsBefore = 0;
  const seconds = (): number => secondsBefore + (performance.now() - began) / 1000;
  let rows: readonly MetricsRow[] = [];

  async function begin(found: Checkpoint | undefined): Promise<Training<PreferenceState<T>, PolicyJob<T>> | undefined> {
    secondsBefore = Number(found?.record.seconds ?? 0);
    const inputs = await fingerprint(pairs, model);
    if (found !== undefined) refuseOtherRun(found, settings, inputs);
    await replaceText(join(output, 'settings.json'), formatObject(settings));

    const warn = warnOnce(hooks);
    const onSkipped = (message: string): void => warn(message, `skipped: ${message}`);
    const trainingKey = keyFor(seed, 'training');
    const keyOf = (i: number): Tensor => random.foldIn(trainingKey, i);
    const asked = await askReference(run, policy, model, { inputs, keyOf, warn, onSkipped });
    if (asked === undefined) return undefined;
    const { errorsOf, ranking } = asked;

    const steps = preferenceSteps({
      task: plan.task,
      policy,
      optimiser: optimiserOf<T>(settings.optimiser, {
        weightDecay: settings.weightDecay,
        hasHalves: hasHalves(settings),
      }),
      maxGradientNorm: settings.maxGradientNorm ?? undefined,
      ema: settings.emaDecay === null ? undefined : { decay: settings.emaDecay },
    });
    const trained = countParameters(policy.initial);
    const average = settings.emaDecay === null ? undefined : policy.initial;
    const fresh = steps.init(policy.initial, average);
    const state = found === undefined ? await independent(fresh) : await loadState(found, fresh, device);
    let position = (found?.record.position ?? { epoch: 0, index: 0 }) as DataPosition;
    const stream = plan.batches(position);
    const learningRate = learningRates(settings);
    const metrics = await openRunMetrics({
      ...{ settings, device, learningRate, warn, onRow: hooks.onRow, from: found?.step ?? 0 },
      timesteps: plan.task.schedule.numTrainTimesteps,
      window: found?.record.window as MetricsWindow | undefined,
    });
    rows = metrics.rows;

    return {
      state,
      lines: [...describeRun(settings, plan, { pairs, validation, trained }), device.description],
      advice:
        `A lower learning rate, a smaller maxGradientNorm or a smaller beta (it is ${settings.beta}) may help` +
        (settings.storage === 'f32' ? '' : '; so may storage f32'),
      build: policyJobs({ steps, stream, accumulation, keyOf, errorsOf, learningRate, onSkipped }),
      async observe({ results: { report, sum, update }, completesStep, position: next }) {
        const loss = await item(report.loss);
        const pairs = pairRows(await read(report.pairs), report.pairs.shape[1] as number);
        const gradientNorm = update && (await item(update.gradientNorm));
        metrics.add({ loss, gradientNorm, pairs });
        if (completesStep) position = next;
        return { loss, gradientNorm, gradients: update?.gradientNorms ?? sum };
      },
      log: (step, state) => metrics.log(step, ranking && (() => validate(ranking, policy.parameters(resultOf(state))))),
      record: () => ({ inputs, position, window: metrics.window(), seconds: seconds() }),
      checked: ({ optimiser }) => ({ parameters: optimiser.params }),
      async writeModel(state) {
        const path = await save(resultOf(state));
        const result = { steps: settings.steps, stopped: false, model: path, seconds: seconds() };
        await replaceText(join(output, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
        return path;
      },
      async close() {
        await stream.return(undefined);
      },
    };
  }

  const outcome = await trainLoop(settings, hooks, begin);
  return { ...outcome, rows, seconds: seconds() };
}

/** Passes a warning of each name on once. */
function warnOnce({ onWarning }: TrainHooks): (name: string, message: string) => void {
  const warned = new Set<string>();
  return (name, message) => {
    if (!warned.has(name)) onWarning?.(message);
    warned.add(name);
  };
}

/** True where the parameters that are trained are f16 or bf16, so that the optimiser needs copies of them in f32. */
const hasHalves = ({ method, storage }: TrainSettings): boolean => method === 'full' && storage !== 'f32';

/** The learning rate of each step, counted from 0. */
function learningRates(settings: TrainSettings): (step: number) => number {
  const schedule = learningRateSchedule(settings.learningRateSchedule, {
    warmupSteps: settings.warmupSteps,
    totalSteps: settings.steps,
  });
  return (step) => settings.learningRate * schedule(step);
}

/** The state before the first step, whose leaves share no buffer: each step writes over those of the state before. */
async function independent<T>(fresh: PreferenceState<T>): Promise<PreferenceState<T>> {
  const state = await realize(fresh);
  // The average begins as the parameters themselves.
  return state.average === undefined ? state : { ...state, average: await copy(state.average) };
}

/** Held-out pairs, and the reference to rank them by. */
type Ranking = Omit<RankPairsOptions<UNetParams>, 'params'>;

/**
 * Asks the reference for what is computed before the first step: with `reference: "precomputed"`, its errors for all
 * micro-batches; where it is not kept, as steps write over its weights, its errors for held-out pairs too.
 * Returns undefined where the signal stopped it.
 */
async function askReference<T>(
  run: TrainRun,
  policy: Policy<UNetParams, T>,
  model: UNetParams,
  {
    inputs,
    keyOf,
    warn,
    onSkipped,
  }: {
    readonly inputs: string;
    readonly keyOf: (i: number) => Tensor;
    readonly warn: (name: string, message: string) => void;
    readonly onSkipped: (message: string) => void;
  },
): Promise<{ readonly errorsOf: ErrorsOf | undefined; readonly ranking: Ranking | undefined } | undefined> {
  const { settings, device, plan, validation } = run;
  const { signal, onReference } = run.hooks;
  try {
    const errorsOf =
      settings.reference !== 'precomputed'
        ? undefined
        : await precomputedErrors({
            file: errorsFile(settings.output),
            identity: `${settingsIdentity(settings)} ${inputs} keys ${keyVersion}`,
            count: settings.steps * settings.accumulation,
            reference: model,
            ...{ task: plan.task, batches: plan.batches, batchSize: settings.batchSize, keyOf, device, signal },
            onBatch: onReference,
            onAnew: (message) => warn(message, message),
          });
    if (validation === undefined) return { errorsOf, ranking: undefined };
    const draws: RankingDraws<UNetParams> = {
      ...{ task: plan.task, batch: plan.batch, conditioning: plan.conditioning, source: validation, onSkipped },
      draws: settings.validationDraws,
      key: keyFor(settings.seed, 'validation'),
    };
    const reference = policy.reference ?? (await rankingErrors({ ...draws, reference: model, signal }));
    return { errorsOf, ranking: { ...draws, reference } };
  } catch (error) {
    if (signal?.aborted !== true || error !== signal.reason) throw error;
    return undefined;
  }
}

/** Ranks held-out pairs; means over the pairs. */
async function validate(ranking: Ranking, params: UNetParams): Promise<MetricsRow['validation']> {
  const { correct, margin } = await rankPairs({ ...ranking, params });
  const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length;
  return { accuracy: mean(correct), margin: mean(margin), pairs: correct.length };
}
