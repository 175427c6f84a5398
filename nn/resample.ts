import { avgPool2d, resizeNearest, type Tensor } from '../tensor/index.ts';
import { conv2d } from './conv2d.ts';
import { module } from './module.ts';

/** Options of `downsample2d`. */
export interface DownsampleOptions {
  /** Whether a 3 × 3 convolution with stride 2 learns how (the default) or means of 2 × 2 are taken. */
  readonly convolution?: boolean;
  /** 1, or 0 for one line of zeros right and below only: as DDPM and autoencoders have it. Default 1. */
  readonly padding?: 0 | 1;
}

/** Images of half the size (diffusers' Downsample2D). */
export function downsample2d(channels: number, { convolution = true, padding = 1 }: DownsampleOptions = {}) {
  return module(
    { conv: convolution ? conv2d(channels, channels, 3, { stride: 2, padding }) : undefined },
    ({ conv }, x: Tensor): Tensor => {
      if (conv === undefined) return avgPool2d(x, { kernel: 2 });
      return conv(padding === 1 ? x : x.pad([0, 0, 1, 1].map((after) => [0, after] as const)));
    },
  );
}

/** Images of twice the size, or of a given one, by repetition and a 3 × 3 convolution (diffusers' Upsample2D). */
export function upsample2d(channels: number, { convolution = true }: { readonly convolution?: boolean } = {}) {
  return module(
    { conv: convolution ? conv2d(channels, channels, 3, { padding: 1 }) : undefined },
    ({ conv }, x: Tensor, size?: readonly [height: number, width: number]): Tensor => {
      const [height, width] = x.shape.slice(2) as [number, number];
      const large = resizeNearest(x, size ?? [2 * height, 2 * width]);
      return conv === undefined ? large : conv(large);
    },
  );
}
