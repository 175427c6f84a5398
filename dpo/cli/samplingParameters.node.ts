import { basename } from 'node:path';
import type { SampleSettings } from '../config/sampleKeys.ts';
import type { OpenedPipeline } from '../train/openSampled.node.ts';
import type { SampleImagesOptions } from '../train/sampleImages.ts';
import { packageVersion } from '../version.node.ts';

/**
 * The text chunks of a PNG file that say how its images were drawn: `parameters` in the form that programs for Stable Diffusion read
 * (the prompt, the negative prompt, then `Name: value` pairs), and `Software`.
 */
export async function samplingParameters(
  { captions, negative, model, lora, image, tileSize, seed, count }: SampleSettings,
  { size: [height, width], steps, guidance, clipSkip = 0, from }: SampleImagesOptions,
  { scheduler, model: { autoencoder } }: OpenedPipeline,
): Promise<Readonly<Record<string, string>>> {
  const isTiled = autoencoder !== undefined && Math.max(height, width) > tileSize;
  const values: Readonly<Record<string, string | number | undefined>> = {
    ...{ Steps: steps, Sampler: String(scheduler._class_name), 'CFG scale': guidance, Seed: seed },
    ...{ Size: `${width}x${height}`, Model: basename(model), Lora: lora?.map((one) => basename(one)).join(' ') },
    Images: count * captions.length === 1 ? undefined : count * captions.length,
    'Clip skip': clipSkip === 0 ? undefined : clipSkip,
    'Init image': image === null ? undefined : basename(image),
    'Denoising strength': from?.strength,
    'VAE tiles': isTiled ? tileSize : undefined,
  };
  const pairs = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  const prompts = captions.join('\n');
  const negatives = negative === null ? [] : [`Negative prompt: ${negative.join('\n')}`];
  return {
    parameters: [prompts, ...negatives, pairs.join(', ')].join('\n'),
    Software: `diffusion-dpo ${await packageVersion()}`,
  };
}
