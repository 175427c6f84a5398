import { valueAndGrad } from '../../autograd/index.ts';
import type { BatchTimesteps, Conditioning, NoiseSchedule, PredictionType } from '../../diffusion/index.ts';
import {
  accumulate,
  clipByGlobalNorm,
  type EmaOptions,
  emaStep,
  globalNorm,
  leafNorms,
  meanGradients,
  type Optimiser,
  type OptimiserState,
  preciseParameters,
  widened,
} from '../../nn/index.ts';
import { mapTree, random, stack, stopGradient, type Tensor, take, tensor } from '../../tensor/index.ts';
import { type Objective, pairMetrics, policyErrors } from '../objectives/index.ts';
import { forBothSides, noisePairs, type Pairs, pairOutput, type ReferenceErrors } from './noisedPairs.ts';
import type { Policy } from './policy.ts';

/** What a network is asked, and how its answers are judged. */
export interface PreferenceTask<P> {
  /** What the network predicts for noisy images [N, …] at time steps [N]. */
  predict(params: P, noisy: Tensor, timesteps: BatchTimesteps, conditioning: Conditioning): Tensor;
  readonly schedule: NoiseSchedule;
  readonly prediction: PredictionType;
  readonly objective: Objective;
  /** Of the margin that is watched; the objective has its own. */
  readonly beta: number;
  /** W_t for each time step of the schedule. */
  readonly weights: Float64Array;
  /** The time steps that are drawn, each entry as likely as the others: `drawnTimesteps`. */
  readonly timesteps: readonly number[];
  /** Gives the noise and the time steps of a batch; by default they are drawn with the key. */
  draw?(pairs: Pairs, key: Tensor): Draw;
}

/** The noise [pairs, …] and the time steps [pairs] of a batch: one of each for both sides of a pair. */
export interface Draw {
  readonly noise: Tensor;
  /** i32 */
  readonly timesteps: Tensor;
}

/** A batch of pairs on the device, with what the network is told of their captions: of both sides, [2·pairs, …]. */
export interface PreferenceBatch extends Pairs {
  readonly conditioning: Conditioning;
  /** MSE_ref, where it was computed before. */
  readonly referenceErrors?: ReferenceErrors | undefined;
}

/** The rows of `StepReport.pairs`. */
export const reportRows = [
  'timestep',
  'winnerError',
  'loserError',
  'winnerChange',
  'loserChange',
  'margin',
  'correct',
] as const;

/** What is watched of a batch; tensors, not computed yet. */
export interface BatchReport {
  /** A scalar. */
  readonly loss: Tensor;
  /** [rows, pairs], in f32, or f64 where the errors are: for each pair what `reportRows` names; without a reference the first three rows only. */
  readonly pairs: Tensor;
}

/** What a task gives a batch, or else draws with a key. */
function draw<P>(task: PreferenceTask<P>, pairs: Pairs, key: Tensor): Draw {
  if (task.draw !== undefined) return task.draw(pairs, key);
  const [{ timesteps }, { winner }] = [task, pairs];
  const [timeKey, noiseKey] = random.split(key);
  const count = winner.shape[0] as number;
  const drawn = random.randint(timeKey, [count], 0, timesteps.length);
  return {
    timesteps: take(tensor(timesteps, { dtype: 'i32' }), drawn),
    noise: random.normal(noiseKey, winner.shape, { dtype: 'f32' }),
  };
}

/** The reference's errors for a batch with the noise and time steps that a key draws: [pairs] each. */
export function referenceErrors<P>(
  task: PreferenceTask<P>,
  reference: P,
  batch: PreferenceBatch,
  key: Tensor,
): ReferenceErrors {
  const { timesteps, noise } = draw(task, batch, key);
  const noised = noisePairs(task.schedule, task.prediction, batch, noise, timesteps);
  const predicted = task.predict(reference, noised.noisy, noised.modelTimesteps, batch.conditioning);
  return policyErrors(pairOutput(noised.target, predicted));
}

/** The loss of parameters on a batch with the noise and time steps that a key draws, and what is watched. */
export function preferenceLoss<P>(
  task: PreferenceTask<P>,
  params: P,
  reference: P | undefined,
  batch: PreferenceBatch,
  key: Tensor,
): BatchReport {
  const { timesteps, noise } = draw(task, batch, key);
  const { noisy, target, modelTimesteps } = noisePairs(task.schedule, task.prediction, batch, noise, timesteps);
  const ask = (asked: P): Tensor => task.predict(asked, noisy, modelTimesteps, batch.conditioning);
  const compared = batch.referenceErrors ?? (reference === undefined ? undefined : stopGradient(ask(reference)));
  const output = pairOutput(target, ask(params), compared);
  const { winner, loser } = policyErrors(output);
  // Errors are in f64 or f32, whatever the network computes in.
  const { dtype } = winner;
  const weight = take(tensor(task.weights, { dtype }), timesteps);
  const watched: Partial<Record<(typeof reportRows)[number], Tensor>> = {
    ...(compared === undefined ? { winnerError: winner, loserError: loser } : pairMetrics(output, task.beta, weight)),
    timestep: timesteps,
  };
  const rows = reportRows.flatMap((row) => watched[row] ?? []);
  return {
    loss: task.objective.loss(output, weight),
    pairs: stack(
      rows.map((row) => stopGradient(row.cast(dtype))),
      0,
    ),
  };
}

/** Everything that a step of training changes. */
export interface PreferenceState<T> {
  readonly optimiser: OptimiserState<T>;
  /** An average of what is trained, in f32, if one is kept. */
  readonly average?: T | undefined;
}

/** What a run saves, and so what it judges by held-out pairs: the average, if one is kept, else what is trained, in f32. */
export const resultOf = <T>({ optimiser, average }: PreferenceState<T>): T => average ?? preciseParameters(optimiser);

export interface PreferenceStepOptions<P, T> {
  readonly task: PreferenceTask<P>;
  readonly policy: Policy<P, T>;
  readonly optimiser: Optimiser<T, OptimiserState<T>>;
  /** The largest norm of the gradient; without it, gradients are taken as they are. */
  readonly maxGradientNorm?: number | undefined;
  readonly ema?: EmaOptions | undefined;
}

/** Gradients of micro-batches so far, and a report for each. */
export interface Accumulated<T> {
  readonly sum: T;
  readonly report: BatchReport;
}

/** The state after a step, and what is watched of the last micro-batch and of the gradient. */
export interface PreferenceStep<T> {
  readonly state: PreferenceState<T>;
  readonly report: BatchReport;
  /** Of the mean gradient, before it is clipped. */
  readonly gradientNorm: Tensor;
  /** The norm of the gradient of each tensor, to find where something went wrong. */
  readonly gradientNorms: T;
}

/** Steps of preference training as pure functions; lazy. */
export function preferenceSteps<P, T>(options: PreferenceStepOptions<P, T>) {
  const { task, policy, optimiser, maxGradientNorm, ema } = options;

  function gradients(trained: T, batch: PreferenceBatch, key: Tensor) {
    const loss = (own: T) => {
      const report = preferenceLoss(task, policy.parameters(own), policy.reference, batch, key);
      return [report.loss, report] as const;
    };
    // Of halves, gradients would be halves too, which have too few digits to add up and, in f16, no room for small ones.
    const [[, report], grads] = valueAndGrad(loss, { hasAux: true })(mapTree(trained, widened));
    return { report, grads };
  }

  return {
    init: (trained: T, average: T | undefined): PreferenceState<T> => ({
      optimiser: optimiser.init(trained),
      ...(average === undefined ? {} : { average: mapTree(average, widened) }),
    }),
    /** Adds the gradient of a micro-batch to the sum of those before. */
    accumulate(trained: T, sum: T | undefined, batch: PreferenceBatch, key: Tensor): Accumulated<T> {
      const { report, grads } = gradients(trained, batch, key);
      return { sum: accumulate(sum, grads), report };
    },
    /** The step with the last of `count` micro-batches, after the sum of the others' gradients. */
    step(
      state: PreferenceState<T>,
      sum: T | undefined,
      count: number,
      batch: PreferenceBatch,
      key: Tensor,
      learningRate: number,
    ): PreferenceStep<T> {
      const { report, grads } = gradients(state.optimiser.params, batch, key);
      const mean = count === 1 ? grads : meanGradients(accumulate(sum, grads), count);
      const clipped =
        maxGradientNorm === undefined
          ? { gradients: mean, norm: globalNorm(mean) }
          : clipByGlobalNorm(mean, maxGradientNorm);
      const next = optimiser.step(state.optimiser, clipped.gradients, { learningRate });
      const average =
        state.average === undefined
          ? {}
          : { average: emaStep(state.average, preciseParameters(next), next.steps, ema) };
      return {
        state: { optimiser: next, ...average },
        report,
        gradientNorm: clipped.norm,
        gradientNorms: leafNorms(mean),
      };
    },
  };
}

/** What a network is told, for both sides of pairs: texts twice, sizes for the winners and then the losers. */
export const conditioningOfPairs = (
  { context, added }: Conditioning,
  timeIds: readonly (readonly number[])[],
): Conditioning => ({
  context: context && forBothSides(context),
  added: added && { textEmbeds: forBothSides(added.textEmbeds), timeIds },
});
