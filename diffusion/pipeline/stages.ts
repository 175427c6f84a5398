import { dispose } from '../../tensor/index.ts';
import type { LoadedPipeline } from './generate.ts';
import type { TextToImageParams } from './textToImage.ts';

/** A part of a pipeline that has weights, as `TextToImageParams` names it. */
export type PipelinePart = 'unet' | 'text_encoder' | 'text_encoder_2' | 'vae';

/** The parts that each stage of sampling needs. */
export const stageParts = {
  text: ['text_encoder', 'text_encoder_2'],
  denoising: ['unet'],
  images: ['vae'],
} as const satisfies Readonly<Record<string, readonly PipelinePart[]>>;

/** A stage of generating images, which needs some parts of a pipeline in memory. */
export type Stage = keyof typeof stageParts;

/**
 * Runs `job` with the parts of a stage at hand. A pipeline in memory has them all; a staged one reads them first and lets
 * them go afterwards, so that the parts of two stages are never in memory together.
 */
export type RunStage = <T>(stage: Stage, job: (pipeline: LoadedPipeline) => Promise<T>) => Promise<T>;

/** A pipeline whose parts are in memory all the time. */
export const residentStages =
  (pipeline: LoadedPipeline): RunStage =>
  (_, job) =>
    job(pipeline);

/** A pipeline whose parts are read by `load` when a stage begins, and disposed of when it ends. */
export const loadedStages =
  (
    pipeline: Omit<LoadedPipeline, 'params'>,
    parts: readonly PipelinePart[],
    load: (part: PipelinePart) => Promise<unknown>,
  ): RunStage =>
  async (stage, job) => {
    const params: Partial<Record<PipelinePart, unknown>> = {};
    try {
      for (const part of stageParts[stage]) if (parts.includes(part)) params[part] = await load(part);
      return await job({ ...pipeline, params: params as TextToImageParams });
    } finally {
      dispose(params);
    }
  };
