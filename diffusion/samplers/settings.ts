import { TensorError } from '../../tensor/index.ts';
import {
  boolean,
  type ConfigOf,
  type Field,
  ignored,
  integer,
  number,
  numberFrom,
  numbersOrNull,
  oneOf,
  readConfig,
} from '../config.ts';
import { isNoiseSchedule, type NoiseSchedule, noiseSchedule } from '../noise/schedule.ts';
import { otherSchedulers } from './schedulerFields.ts';
import type { Spacing } from './timesteps.ts';

/** Fields that say what noise there is. */
const scheduleFields = {
  num_train_timesteps: integer(1000),
  beta_start: number(1e-4),
  beta_end: number(0.02),
  beta_schedule: oneOf('linear', 'scaled_linear', 'squaredcos_cap_v2', 'sigmoid'),
  trained_betas: numbersOrNull(null),
  rescale_betas_zero_snr: boolean(false),
} as const;

/** Fields that all schedulers have. */
export const commonFields = {
  ...scheduleFields,
  prediction_type: oneOf('epsilon', 'v_prediction', 'sample'),
  steps_offset: integer(0),
} as const;

/** Fields of samplers that keep predicted images within bounds by a quantile. */
export const thresholdingFields = {
  thresholding: boolean(false),
  dynamic_thresholding_ratio: numberFrom(0, 1, 0.995),
  sample_max_value: number(1),
} as const;

/** Fields of samplers that keep predicted images within bounds. */
export const clippingFields = {
  clip_sample: boolean(true),
  clip_sample_range: numberFrom(0, Number.POSITIVE_INFINITY, 1),
  ...thresholdingFields,
} as const;

export const spacing = <const Default extends Spacing>(fallback: Default): Field<Spacing> =>
  ((value) => oneOf('leading', 'linspace', 'trailing')(value === undefined ? fallback : value)) as Field<Spacing>;

type Fields = Readonly<Record<string, Field<unknown>>>;

/** A sampler's own fields, and those of all other schedulers, which are passed over. */
export const withOthers = <const F extends Fields>(fields: F): F =>
  ({ ...otherSchedulers, predict_epsilon: ignored, ...fields }) as F;

/** Reads a scheduler's configuration; fields of other schedulers are passed over. */
export const readSettings = <const F extends Fields>(className: string, json: unknown, fields: F): ConfigOf<F> =>
  readConfig(className, withPredictionType(className, json), withOthers(fields)) as ConfigOf<F>;

/** In 2022, `predict_epsilon` said what `prediction_type` says now: false stands for "sample". */
function withPredictionType(className: string, json: unknown): unknown {
  if (
    typeof json !== 'object' ||
    json === null ||
    (json as Readonly<Record<string, unknown>>).predict_epsilon !== false
  )
    return json;
  const { prediction_type: type = 'sample' } = json as Readonly<Record<string, unknown>>;
  if (type !== 'sample')
    throw new TensorError(
      `${className}: predict_epsilon is false, which stands for prediction_type "sample", but prediction_type is ${JSON.stringify(type)}`,
    );
  return { ...json, prediction_type: type };
}

/** What every sampler takes beside its configuration. */
export interface SettingsOptions {
  /**
   * Fields of the configuration, in place of what it says: `{ timestep_spacing: 'trailing' }`. They are the only ones beside a
   * noise schedule.
   */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/**
 * What a sampler is made of: the fields of a configuration and its noise schedule, or a noise schedule and the defaults of all
 * other fields. Then nothing is clipped unless `settings` say so.
 * @throws TensorError for a flow's schedule, and for settings that would change a given schedule.
 */
export function samplerSettings<const F extends typeof commonFields & Fields>(
  className: string,
  source: unknown,
  fields: F,
  own: Readonly<Record<string, unknown>> = {},
): { readonly settings: ConfigOf<F>; readonly schedule: NoiseSchedule } {
  if (!isNoiseSchedule(source)) {
    const json = typeof source === 'object' && source !== null ? { ...source, ...own } : source;
    const settings = readSettings(className, Array.isArray(source) ? source : json, fields);
    return { settings, schedule: scheduleOf(settings) };
  }
  if (source.modelTimesteps !== undefined)
    throw new TensorError(
      `${className}: this is the schedule of a flow, which FlowMatchEulerDiscreteScheduler samples from`,
    );
  const given = Object.keys(scheduleFields).filter((name) => Object.hasOwn(own, name));
  if (given.length > 0)
    throw new TensorError(
      `${className}: the noise schedule is given, so the settings must not have ${given.join(', ')}`,
    );
  return { settings: readSettings(className, { clip_sample: false, ...own }, fields), schedule: source };
}

/** The noise schedule of a configuration. */
export const scheduleOf = (settings: ConfigOf<typeof scheduleFields>): NoiseSchedule =>
  noiseSchedule({
    numTrainTimesteps: settings.num_train_timesteps,
    betaSchedule: settings.beta_schedule,
    betaStart: settings.beta_start,
    betaEnd: settings.beta_end,
    trainedBetas: settings.trained_betas,
    rescaleBetasZeroSnr: settings.rescale_betas_zero_snr,
  });
