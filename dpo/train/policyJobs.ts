import type { Tensor } from '../../tensor/index.ts';
import type { DataPosition } from '../data/order.ts';
import type { TrainingBatch, TrainingBatches } from './pairTensors.ts';
import type { BatchReport, PreferenceState, PreferenceStep, preferenceSteps } from './preferenceStep.ts';
import type { ErrorsOf } from './storedErrors.ts';

/** One micro-batch of a run: it adds its gradients to a sum, or, as the last of a step, makes the step. */
export interface PolicyJob<T> {
  readonly results: {
    readonly report: BatchReport;
    /** The sum of the step's gradients so far. */
    readonly sum: T | undefined;
    readonly update: PreferenceStep<T> | undefined;
  };
  readonly donate: unknown;
  readonly watched: unknown;
  readonly state: PreferenceState<T>;
  readonly completesStep: boolean;
  /** The number of the micro-batch within its step. */
  readonly part: number;
  /** The position in the data after the micro-batch. */
  readonly position: DataPosition;
}

export interface PolicyJobsOptions<T> {
  readonly steps: ReturnType<typeof preferenceSteps<unknown, T>>;
  readonly stream: ReturnType<TrainingBatches>;
  /** Micro-batches in a step. */
  readonly accumulation: number;
  /** The key of micro-batch `i` of the whole run. */
  readonly keyOf: (i: number) => Tensor;
  /** The reference's errors for micro-batch `i` of the whole run, where they were computed before the first step. */
  readonly errorsOf: ErrorsOf | undefined;
  readonly learningRate: (step: number) => number;
  readonly onSkipped: (message: string) => void;
}

/** Builds the graphs of a run's micro-batches, in order: `build` of `Training`. */
export const policyJobs =
  <T>({ steps, stream, accumulation, keyOf, errorsOf, learningRate, onSkipped }: PolicyJobsOptions<T>) =>
  async (step: number, state: PreferenceState<T>, unfinished: PolicyJob<T> | undefined): Promise<PolicyJob<T>> => {
    const part = unfinished === undefined ? 0 : unfinished.part + 1;
    const { batch, leaves, next: position, skipped } = (await stream.next()).value as TrainingBatch;
    for (const message of skipped) onSkipped(message);
    const index = step * accumulation + part;
    const errors = errorsOf?.(index);
    const inputs = { ...batch, referenceErrors: errors };
    const before = unfinished?.results.sum;
    if (part + 1 < accumulation) {
      const { sum, report } = steps.accumulate(state.optimiser.params, before, inputs, keyOf(index));
      return {
        results: { report, sum, update: undefined },
        donate: [leaves, errors, before],
        watched: report,
        ...{ state, completesStep: false, part, position },
      };
    }
    const update = steps.step(state, before, accumulation, inputs, keyOf(index), learningRate(step));
    const { report, gradientNorm, gradientNorms } = update;
    return {
      results: { report, sum: undefined, update },
      donate: [leaves, errors, before, state],
      watched: [report, gradientNorm, gradientNorms],
      ...{ state: update.state, completesStep: true, part, position },
    };
  };
