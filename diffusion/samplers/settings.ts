import { TensorError } from '../../tensor/index.ts';
import {
  boolean,
  type ConfigOf,
  type Field,
  ignored,
  integer,
  number,
  numbersOrNull,
  oneOf,
  readConfig,
} from '../config.ts';
import { type NoiseSchedule, noiseSchedule } from '../noise/schedule.ts';

/** Fields that all schedulers have. */
export const commonFields = {
  num_train_timesteps: integer(1000),
  beta_start: number(1e-4),
  beta_end: number(0.02),
  beta_schedule: oneOf('linear', 'scaled_linear', 'squaredcos_cap_v2', 'sigmoid'),
  trained_betas: numbersOrNull(null),
  prediction_type: oneOf('epsilon', 'v_prediction', 'sample'),
  rescale_betas_zero_snr: boolean(false),
  steps_offset: integer(0),
} as const;

/** Fields of samplers that keep predicted pictures within bounds. */
export const clippingFields = {
  clip_sample: boolean(true),
  clip_sample_range: number(1),
  thresholding: boolean(false),
  dynamic_thresholding_ratio: number(0.995),
  sample_max_value: number(1),
} as const;

export const spacing = <const Default extends Spacing>(fallback: Default): Field<Spacing> =>
  ((value) => oneOf('leading', 'linspace', 'trailing')(value === undefined ? fallback : value)) as Field<Spacing>;

/** How time steps are spread: multiples of a whole number, evenly from 0 to the last, or evenly from the last down. */
export type Spacing = 'leading' | 'linspace' | 'trailing';

/**
 * All fields of diffusers' schedulers. Files carry fields of other schedulers along, which have no effect; only names that
 * no scheduler has are refused.
 */
const known = [
  ...[
    'timestep_values',
    'clip_sample',
    'clip_sample_range',
    'thresholding',
    'dynamic_thresholding_ratio',
    'sample_max_value',
    'variance_type',
  ],
  ...[
    'set_alpha_to_one',
    'skip_prk_steps',
    'timestep_spacing',
    'timestep_type',
    'interpolation_type',
    'use_karras_sigmas',
  ],
  ...['use_exponential_sigmas', 'use_beta_sigmas', 'use_lu_lambdas', 'use_flow_sigmas', 'flow_shift', 'sigma_min'],
  ...['sigma_max', 'final_sigmas_type', 'algorithm_type', 'solver_order', 'solver_type', 'lower_order_final'],
  ...['euler_at_final', 'lambda_min_clipped', 'rescale_betas_zero_snr', 'steps_offset', 'prediction_type'],
] as const;
const unused: Readonly<Record<string, Field<undefined>>> = Object.fromEntries(known.map((name) => [name, ignored]));

/** Reads a scheduler's configuration; fields of other schedulers are left alone. */
export const readSettings = <const F extends Readonly<Record<string, Field<unknown>>>>(
  className: string,
  json: unknown,
  fields: F,
): ConfigOf<F> => readConfig(className, json, { ...unused, ...fields }) as ConfigOf<F>;

/** The noise schedule of a configuration. */
export const scheduleOf = (settings: ConfigOf<typeof commonFields>): NoiseSchedule =>
  noiseSchedule({
    numTrainTimesteps: settings.num_train_timesteps,
    betaSchedule: settings.beta_schedule,
    betaStart: settings.beta_start,
    betaEnd: settings.beta_end,
    trainedBetas: settings.trained_betas,
    rescaleBetasZeroSnr: settings.rescale_betas_zero_snr,
  });

/** Rounds as NumPy does: halves to the even neighbour. */
const round = (x: number): number => {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
};

export interface SpacingOptions {
  readonly numTrainTimesteps: number;
  readonly steps: number;
  readonly spacing: Spacing;
  readonly offset: number;
  /** Whether evenly spread time steps are rounded; default true. */
  readonly whole?: boolean;
}

/** Time steps in the order in which they are taken, from the noisiest (diffusers' `set_timesteps`). */
export function spacedTimesteps({ numTrainTimesteps, steps, spacing, offset, whole = true }: SpacingOptions): number[] {
  const indices = Array.from({ length: steps }, (_, i) => i);
  switch (spacing) {
    case 'leading': {
      const ratio = Math.floor(numTrainTimesteps / steps);
      return indices.map((i) => i * ratio + offset).reverse();
    }
    case 'linspace': {
      const even = indices.map((i) => (steps === 1 ? 0 : (i * (numTrainTimesteps - 1)) / (steps - 1)));
      return (whole ? even.map(round) : even).reverse();
    }
    case 'trailing':
      return indices.map((i) => round(numTrainTimesteps - (i * numTrainTimesteps) / steps) - 1);
  }
}

/** Throws unless there are 1 to T steps. */
export function checkSteps(className: string, steps: number, numTrainTimesteps: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > numTrainTimesteps)
    throw new TensorError(`${className}: steps must be a whole number from 1 to ${numTrainTimesteps}, got ${steps}`);
}
