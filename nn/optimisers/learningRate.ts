import { TensorError } from '../../tensor/index.ts';

/** A factor for the learning rate at each step, counted from 0. */
export type LearningRateSchedule = (step: number) => number;

/** Options of `learningRateSchedule`. */
export interface LearningRateOptions {
  /** Steps over which the factor grows from 0 to 1; default 0. */
  readonly warmupSteps?: number;
  /** Steps of the whole training; schedules that fall need it. */
  readonly totalSteps?: number;
  /** Of `cosine_with_restarts`: how often it begins anew; of `cosine`: half waves, default ½. */
  readonly cycles?: number;
  /** Of `polynomial`; default 1. */
  readonly power?: number;
  /** Of `polynomial`: the last factor; default 1e-7 over a learning rate of 1. */
  readonly endFactor?: number;
}

/** The names of the schedules, as in diffusers' `get_scheduler`. */
export const learningRateSchedules = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'polynomial',
] as const;
/** The name of a schedule. */
export type LearningRateScheduleName = (typeof learningRateSchedules)[number];

/**
 * Schedules by the names and formulas of diffusers' `get_scheduler`.
 * @throws TensorError if the name is not known, or a schedule that falls has no `totalSteps`.
 */
export function learningRateSchedule(
  name: LearningRateScheduleName,
  { warmupSteps = 0, totalSteps, cycles, power = 1, endFactor = 1e-7 }: LearningRateOptions = {},
): LearningRateSchedule {
  /** From 0 after the warm-up to 1 at the end. */
  const progress = (step: number): number => (step - warmupSteps) / Math.max(1, (totalSteps as number) - warmupSteps);
  const afterWarmup: Readonly<Record<LearningRateScheduleName, (step: number) => number>> = {
    constant: () => 1,
    constant_with_warmup: () => 1,
    linear: (step) => Math.max(0, 1 - progress(step)),
    cosine: (step) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * 2 * (cycles ?? 0.5) * progress(step)))),
    cosine_with_restarts: (step) =>
      progress(step) >= 1 ? 0 : 0.5 * (1 + Math.cos(Math.PI * (((cycles ?? 1) * progress(step)) % 1))),
    polynomial: (step) => (1 - endFactor) * Math.max(0, 1 - progress(step)) ** power + endFactor,
  };
  const after = Object.hasOwn(afterWarmup, name) ? afterWarmup[name] : undefined;
  if (after === undefined) {
    throw new TensorError(
      `learningRateSchedule: '${name}' is not known; there are: ${learningRateSchedules.join(', ')}`,
    );
  }
  if (totalSteps === undefined && !name.startsWith('constant'))
    throw new TensorError(`learningRateSchedule: '${name}' needs totalSteps`);
  const warms = name !== 'constant';
  return (step) => (warms && step < warmupSteps ? step / Math.max(1, warmupSteps) : after(step));
}
