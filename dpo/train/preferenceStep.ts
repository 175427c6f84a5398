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

/**
 * The network, its noise schedule and the objective of a run: all that a loss needs besides parameters, batch and key.
 */
export interface PreferenceTask<P> {
  /** The network's prediction for noisy images [N, …] at time steps [N]. */
  predict(params: P, noisy: Tensor, timesteps: BatchTimesteps, conditioning: Conditioning): Tensor;
  readonly schedule: NoiseSchedule;
  readonly prediction: PredictionType;
  readonly objective: Objective;
  /** β of the margin that is logged; the objective has its own. */
  readonly beta: number;
  /** W_t for each time step of the schedule. */
  readonly weights: Float64Array;
  /** The time steps to draw from, each entry equally likely: `drawnTimesteps`. */
  readonly timesteps: readonly number[];
  /** Gives the noise and the time steps of a batch; by default both are drawn with the key. */
  draw?(pairs: Pairs, key: Tensor): Draw;
}

/** The noise [pairs, …] and the time steps [pairs] of a batch; both sides of a pair share them. */
export interface Draw {
  readonly noise: Tensor;
  /** i32 */
  readonly timesteps: Tensor;
}

/** A batch of pairs on the device, with the conditioning of both sides: [2·pairs, …]. */
export interface PreferenceBatch extends Pairs {
  readonly conditioning: Conditioning;
  /** MSE_ref, where it was computed before the first step. */
  readonly referenceErrors?: ReferenceErrors | undefined;
}

/** The rows of `BatchReport.pairs`. */
export const reportRows = [
  'timestep',
  'winnerError',
  'loserError',
  'winnerChange',
  'loserChange',
  'margin',
  'correct',
] as const;

/** The loss of a batch and the numbers that are logged; lazy. */
export interface BatchReport {
  /** A scalar. */
  readonly loss: Tensor;
  /**
   * [rows, pairs], f32 or f64 as the errors are: the rows of `reportRows`; without a reference the first three only.
   */
  readonly pairs: Tensor;
}

/** The noise and the time steps of a batch: those that the task gives, or else drawn with the key. */
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

/** MSE_ref of a batch with the noise and time steps that the key draws: [pairs] each; lazy. */
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

/**
 * The loss on a batch with the noise and time steps that the key draws, and the numbers that are logged; lazy.
 * @param reference the frozen parameters; undefined where the objective needs none, or the batch has the reference's errors
 */
export function preferenceLoss<P>(
  task: PreferenceTask<P>,
  params: P,
  reference: P | undefined,
  batch: PreferenceBatch,
  key: Tensor,
): BatchReport {
  const { timesteps, noise } = draw(task, batch, key);
  const { noisy, target, modelTimesteps } = noisePairs(task.schedule, task.prediction, batch, noise, timesteps);
  const predict = (weights: P): Tensor => task.predict(weights, noisy, modelTimesteps, batch.conditioning);
  const compared = batch.referenceErrors ?? (reference === undefined ? undefined : stopGradient(predict(reference)));
  const output = pairOutput(target, predict(params), compared);
  const { winner, loser } = policyErrors(output);
  // Errors are f64 or f32, whatever the network computes in.
  const { dtype } = winner;
  const weight = take(tensor(task.weights, { dtype }), timesteps);
  const logged: Partial<Record<(typeof reportRows)[number], Tensor>> = {
    ...(compared === undefined ? { winnerError: winner, loserError: loser } : pairMetrics(output, task.beta, weight)),
    timestep: timesteps,
  };
  const rows = reportRows.flatMap((row) => logged[row] ?? []);
  return {
    loss: task.objective.loss(output, weight),
    pairs: stack(
      rows.map((row) => stopGradient(row.cast(dtype))),
      0,
    ),
  };
}

/** Everything that a step changes: the tensors of a training checkpoint. */
export interface PreferenceState<T> {
  readonly optimiser: OptimiserState<T>;
  /** The exponential moving average of the trained part, in f32, if one is kept. */
  readonly average?: T | undefined;
}

/**
 * The trained part that a run saves and ranks held-out pairs with: the average, if one is kept, else the parameters in
 * f32.
 */
export const resultOf = <T>({ optimiser, average }: PreferenceState<T>): T => average ?? preciseParameters(optimiser);

export interface PreferenceStepOptions<P, T> {
  readonly task: PreferenceTask<P>;
  readonly policy: Policy<P, T>;
  readonly optimiser: Optimiser<T, OptimiserState<T>>;
  /** Gradients with a larger global norm are scaled down to it; undefined clips none. */
  readonly maxGradientNorm?: number | undefined;
  readonly ema?: EmaOptions | undefined;
}

/** The sum of the gradients of a step's micro-batches so far, and the report of the last one. */
export interface Accumulated<T> {
  readonly sum: T;
  readonly report: BatchReport;
}

/** The state after a step, the report of its last micro-batch, and norms of its gradient. */
export interface PreferenceStep<T> {
  readonly state: PreferenceState<T>;
  readonly report: BatchReport;
  /** The global norm of the mean gradient before it is clipped; a scalar. */
  readonly gradientNorm: Tensor;
  /** The norm of each tensor's gradient: shows which are not finite. */
  readonly gradientNorms: T;
}

/** The steps of preference training as pure, lazy functions. */
export function preferenceSteps<P, T>(options: PreferenceStepOptions<P, T>) {
  const { task, policy, optimiser, maxGradientNorm, ema } = options;

  function gradients(trained: T, batch: PreferenceBatch, key: Tensor) {
    const loss = (precise: T) => {
      const report = preferenceLoss(task, policy.parameters(precise), policy.reference, batch, key);
      return [report.loss, report] as const;
    };
    // Gradients of halves would be halves: too few digits to add up and, in f16, no room for small values.
    const [[, report], grads] = valueAndGrad(loss, { hasAux: true })(mapTree(trained, widened));
    return { report, grads };
  }

  return {
    init: (trained: T, average: T | undefined): PreferenceState<T> => ({
      optimiser: optimiser.init(trained),
      ...(average === undefined ? {} : { average: mapTree(average, widened) }),
    }),
    /** Adds the gradient of a micro-batch to the sum of the earlier ones. */
    accumulate(trained: T, sum: T | undefined, batch: PreferenceBatch, key: Tensor): Accumulated<T> {
      const { report, grads } = gradients(trained, batch, key);
      return { sum: accumulate(sum, grads), report };
    },
    /** The step with the last of `count` micro-batches; `sum` holds the gradients of the others. */
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

/** The conditioning of both sides of pairs: the texts twice, the time ids of the winners and then of the losers. */
export const conditioningOfPairs = (
  { context, added }: Conditioning,
  timeIds: readonly (readonly number[])[],
): Conditioning => ({
  context: context && forBothSides(context),
  added: added && { textEmbeds: forBothSides(added.textEmbeds), timeIds },
});
