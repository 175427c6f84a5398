import { type Tensor, where } from '../../tensor/index.ts';
import type { ConfigOf } from '../config.ts';
import type { clippingFields } from './settings.ts';

type Clipping = ConfigOf<typeof clippingFields>;

/**
 * Keeps a predicted image within bounds: by clipping, or by dynamic thresholding, which divides an image by a high
 * quantile of its absolute values where that is above 1 (Saharia et al. 2022).
 */
export function clipOriginal(
  original: Tensor,
  settings: { readonly [Name in keyof Clipping]?: Clipping[Name] | undefined },
): Tensor {
  if (settings.thresholding === true) {
    return threshold(original, settings.dynamic_thresholding_ratio ?? 0.995, settings.sample_max_value ?? 1);
  }
  const range = settings.clip_sample_range ?? 1;
  return settings.clip_sample === true ? original.clamp({ min: -range, max: range }) : original;
}

/** In words, how a sampler keeps predicted images within bounds, if it does: what `Trajectory.clipping` says. */
export function clippingOf(settings: { readonly [Name in keyof Clipping]?: unknown }): string | undefined {
  if (settings.thresholding === true)
    return (
      'divides predicted images by the quantile ' +
      `${settings.dynamic_thresholding_ratio} of their absolute values, from 1 to ${settings.sample_max_value} (thresholding)`
    );
  const range = settings.clip_sample_range;
  return settings.clip_sample === true ? `clips predicted images to [−${range}, ${range}] (clip_sample)` : undefined;
}

function threshold(original: Tensor, ratio: number, most: number): Tensor {
  const batch = original.shape[0] as number;
  const size = original.size / batch;
  const sorted = original.reshape([batch, size]).abs().sort(1);
  // The quantile lies between two neighbours.
  const place = ratio * (size - 1);
  const below = Math.floor(place);
  const [low, high] = [below, Math.min(below + 1, size - 1)].map((i) => sorted.sliceAxis(1, i, i + 1)) as [
    Tensor,
    Tensor,
  ];
  const quantile = low.add(high.sub(low).mul(place - below));
  const limit = quantile
    .clamp({ min: 1, max: Math.max(1, most) })
    .reshape([batch, ...original.shape.slice(1).map(() => 1)]);
  const upper = original.minimum(limit);
  return where(upper.less(limit.neg()), limit.neg(), upper).div(limit);
}
