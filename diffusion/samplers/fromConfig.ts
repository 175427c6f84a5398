import { TensorError } from '../../tensor/index.ts';
import { type Field, passedOver } from '../config.ts';
import type { NoiseSchedule, PredictionType } from '../noise/schedule.ts';
import { clippingOf } from './clipping.ts';
import { type DdimOptions, ddim, ddimFields } from './ddim.ts';
import { type DdpmOptions, ddpm, ddpmFields } from './ddpm.ts';
import { dpmSolverFields, dpmSolverMultistep } from './dpmSolver.ts';
import { type EulerOptions, euler, eulerAncestral, eulerAncestralFields, eulerFields } from './euler.ts';
import { flowMatchEuler, flowMatchEulerClass, flowMatchEulerFields, flowScheduleFromConfig } from './flowMatchEuler.ts';
import { pndm, pndmFields } from './pndm.ts';
import { commonFields, readSettings, scheduleOf, withOthers } from './settings.ts';
import type { Sampler } from './trajectory.ts';

/** What samplers take beside their configuration; each reads its own. */
export type SamplerOptions = DdpmOptions & DdimOptions & EulerOptions;

type MakeSampler = (source: unknown, options?: SamplerOptions) => Sampler;

/** Samplers by the names of diffusers' classes, from a configuration or a noise schedule. */
export const samplers: Readonly<Record<string, MakeSampler>> = {
  DDPMScheduler: ddpm,
  DDIMScheduler: ddim,
  EulerDiscreteScheduler: euler,
  EulerAncestralDiscreteScheduler: eulerAncestral,
  DPMSolverMultistepScheduler: dpmSolverMultistep,
  PNDMScheduler: pndm,
  [flowMatchEulerClass]: flowMatchEuler,
};

const fieldsOf: Readonly<Record<string, Readonly<Record<string, Field<unknown>>>>> = {
  DDPMScheduler: ddpmFields,
  DDIMScheduler: ddimFields,
  EulerDiscreteScheduler: eulerFields,
  EulerAncestralDiscreteScheduler: eulerAncestralFields,
  DPMSolverMultistepScheduler: dpmSolverFields,
  PNDMScheduler: pndmFields,
  [flowMatchEulerClass]: flowMatchEulerFields,
};

const classNameOf = (json: unknown): unknown => (json as { readonly _class_name?: unknown } | null)?._class_name;

/** How any scheduler's configuration has images noised, and what it has networks predict. */
export function noisingFromConfig(json: unknown): {
  readonly schedule: NoiseSchedule;
  readonly prediction: PredictionType;
} {
  const name = classNameOf(json);
  if (name === flowMatchEulerClass) return { schedule: flowScheduleFromConfig(json), prediction: 'flow_prediction' };
  const settings = readSettings(typeof name === 'string' ? name : 'scheduler', json, commonFields);
  return { schedule: scheduleOf(settings), prediction: settings.prediction_type };
}

/** The sampler of a `scheduler_config.json`, by its `_class_name`. */
export function samplerFromConfig(json: unknown, options?: SamplerOptions): Sampler {
  const name = classNameOf(json);
  const sampler = typeof name === 'string' && Object.hasOwn(samplers, name) ? samplers[name] : undefined;
  if (sampler !== undefined) return sampler(json, options);
  throw new TensorError(
    `samplerFromConfig: _class_name is ${JSON.stringify(name)}; there are: ${Object.keys(samplers).join(', ')}`,
  );
}

/** What a `scheduler_config.json` does without saying so. */
export interface SchedulerNotes {
  /** Fields of other schedulers, or without effect here. */
  readonly passedOver: readonly string[];
  /** How predicted images are kept within bounds, in words, if they are. */
  readonly clipping: string | undefined;
}

/** What is to be said of a scheduler's configuration; undefined where there is no sampler of its class. */
export function schedulerNotes(json: Readonly<Record<string, unknown>>): SchedulerNotes | undefined {
  const name = classNameOf(json);
  const fields = typeof name === 'string' && Object.hasOwn(fieldsOf, name) ? fieldsOf[name] : undefined;
  if (typeof name !== 'string' || fields === undefined) return undefined;
  const settings = readSettings(name, json, fields);
  return { passedOver: passedOver(json, withOthers(fields)), clipping: clippingOf(settings) };
}
