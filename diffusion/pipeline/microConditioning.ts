import { TensorError } from '../../tensor/index.ts';
import type { JsonObject } from '../checkpoint/json.ts';

/** Sizes in pixels and crops that SDXL's UNets take beside the text (Podell et al. 2023, section 2.2). */
export interface MicroConditioning {
  /** [height, width] before resizing; default: the size of the image. */
  readonly originalSize?: readonly [number, number];
  /** [top, left] of the crop; default [0, 0]. */
  readonly crop?: readonly [number, number];
  /** [height, width] of the image that is meant; default: the size of the image. The base model's alone. */
  readonly targetSize?: readonly [number, number];
  /** The refiner's alone; default 6, as diffusers has it for prompts (2.5 for negative prompts). */
  readonly aestheticScore?: number;
}

/** diffusers' defaults of `aesthetic_score` and `negative_aesthetic_score`. */
export const aestheticScores = { prompt: 6, negative: 2.5 } as const;

/** How many numbers a UNet takes beside pooled text of a width: 6 in SDXL's base, 5 in its refiner. */
export function timeIdCount(
  { addition_time_embed_dim: width, projection_class_embeddings_input_dim: inputs }: JsonObject,
  pooledWidth: number,
): 5 | 6 {
  const count = (Number(inputs) - pooledWidth) / Number(width);
  if (count === 5 || count === 6) return count;
  throw new TensorError(
    `UNet2DConditionModel: projection_class_embeddings_input_dim is ${inputs}; with pooled text of width ${pooledWidth} and ` +
      `addition_time_embed_dim ${width} that leaves ${count} sizes, but SDXL's base takes 6, and its refiner 5`,
  );
}

/** The numbers for an image of a size [height, width], in diffusers' order (`_get_add_time_ids`). */
export function timeIdsOf(
  unet: JsonObject,
  pooledWidth: number,
  size: readonly [number, number],
  { originalSize = size, crop = [0, 0], targetSize = size, aestheticScore = aestheticScores.prompt }: MicroConditioning,
): number[] {
  const isRefiner = timeIdCount(unet, pooledWidth) === 5;
  return [...originalSize, ...crop, ...(isRefiner ? [aestheticScore] : targetSize)];
}
