import { TensorError } from '../../tensor/index.ts';
import type { NoiseSchedule, PredictionType } from '../noise/schedule.ts';
import { type DdimOptions, ddim } from './ddim.ts';
import { ddpm } from './ddpm.ts';
import { dpmSolverMultistep } from './dpmSolver.ts';
import { type EulerOptions, euler, eulerAncestral } from './euler.ts';
import { flowMatchEuler, flowMatchEulerClass, flowScheduleFromConfig } from './flowMatchEuler.ts';
import { pndm } from './pndm.ts';
import { commonFields, readSettings, scheduleOf } from './settings.ts';
import type { Sampler } from './trajectory.ts';

/** What samplers take beside their configuration; each reads its own. */
export type SamplerOptions = DdimOptions & EulerOptions;

/** Samplers by the names of diffusers' classes. */
export const samplers: Readonly<Record<string, (config: unknown, options?: SamplerOptions) => Sampler>> = {
  DDPMScheduler: ddpm,
  DDIMScheduler: ddim,
  EulerDiscreteScheduler: euler,
  EulerAncestralDiscreteScheduler: eulerAncestral,
  DPMSolverMultistepScheduler: dpmSolverMultistep,
  PNDMScheduler: pndm,
  [flowMatchEulerClass]: flowMatchEuler,
};

const classNameOf = (json: unknown): unknown => (json as { readonly _class_name?: unknown } | null)?._class_name;

/** How any scheduler's configuration has pictures noised, and what it has networks predict. */
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
