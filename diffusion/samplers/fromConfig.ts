import { TensorError } from '../../tensor/index.ts';
import { type DdimOptions, ddim } from './ddim.ts';
import { ddpm } from './ddpm.ts';
import { dpmSolverMultistep } from './dpmSolver.ts';
import { type EulerOptions, euler, eulerAncestral } from './euler.ts';
import { pndm } from './pndm.ts';
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
};

/** The sampler of a `scheduler_config.json`, by its `_class_name`. */
export function samplerFromConfig(json: unknown, options?: SamplerOptions): Sampler {
  const name = (json as { readonly _class_name?: unknown } | null)?._class_name;
  const sampler = typeof name === 'string' && Object.hasOwn(samplers, name) ? samplers[name] : undefined;
  if (sampler !== undefined) return sampler(json, options);
  throw new TensorError(
    `samplerFromConfig: _class_name is ${JSON.stringify(name)}; there are: ${Object.keys(samplers).join(', ')}`,
  );
}
