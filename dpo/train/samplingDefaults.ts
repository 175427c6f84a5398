import type { TextToImageConfig } from '../../diffusion/index.ts';

/** The configurations that say of what kind a pipeline is. */
interface Kind {
  readonly config: TextToImageConfig;
  /** The `scheduler_config.json`. */
  readonly scheduler: Readonly<Record<string, unknown>>;
}

/** Settings of sampling that follow from the kind of a pipeline where a user gives none. */
export interface SamplingDefaults {
  /** Scale of classifier-free guidance. */
  readonly guidance: number;
  /** Images that are drawn together. */
  readonly sampleBatchSize: number;
  /** The share of the steps that image-to-image makes. */
  readonly strength: number;
}

const few = ['EulerDiscreteScheduler', 'EulerAncestralDiscreteScheduler'];

/**
 * True for a pipeline that is distilled to few steps without guidance, as SD Turbo and SDXL Turbo (Sauer et al. 2023). Nothing names
 * them; of the published pipelines theirs alone have one of Euler's samplers with trailing time steps.
 */
export const isDistilled = ({ scheduler }: Pick<Kind, 'scheduler'>): boolean =>
  few.includes(String(scheduler._class_name)) &&
  scheduler.timestep_spacing === 'trailing' &&
  scheduler.rescale_betas_zero_snr !== true;

/**
 * The defaults of diffusers' pipelines: StableDiffusionPipeline, StableDiffusionXLPipeline and their image-to-image forms. Small
 * pipelines on pixels draw many images at once.
 */
export function samplingDefaults(pipeline: Kind): SamplingDefaults {
  const { unet, vae } = pipeline.config;
  if (vae === undefined) return { guidance: 3, sampleBatchSize: 64, strength: 0.8 };
  const isXl = unet.addition_embed_type === 'text_time';
  const guidance = isDistilled(pipeline) ? 0 : isXl ? 5 : 7.5;
  return { guidance, sampleBatchSize: 1, strength: isXl ? 0.3 : 0.8 };
}

/** The settings that a user gave, and the pipeline's defaults for those that are null. */
export function withDefaults(
  { guidance, sampleBatchSize }: { readonly guidance: number | null; readonly sampleBatchSize: number | null },
  pipeline: Kind,
): { readonly guidance: number; readonly batchSize: number } {
  const defaults = samplingDefaults(pipeline);
  return { guidance: guidance ?? defaults.guidance, batchSize: sampleBatchSize ?? defaults.sampleBatchSize };
}
