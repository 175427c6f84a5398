import { TensorError } from '../../tensor/index.ts';
import { foldKey, type HostKey, uniform } from './draws.ts';
import type { Image } from './image.ts';
import { resizeWindow } from './resize.ts';

/**
 * Options of preprocessing. Crop and flip are drawn once a pair, so that its two images get the same;
 * `independentTransforms` draws them for each image, as the code of Wallace et al. 2023 does. Both images of a pair always
 * share the caption, dropped or not.
 */
export interface PreprocessOptions {
  /** Side in pixels, or [height, width]. An image is resized to cover this, keeping its proportions, and cropped. */
  readonly size: number | readonly [number, number];
  /** Position of the crop where the proportions differ. */
  readonly crop: 'center' | 'random';
  /** Mirror half of the pairs, left for right. */
  readonly flip: boolean;
  /** Share of pairs whose caption is replaced by the empty one, from 0 to 1. */
  readonly captionDropout: number;
  /** Draw crop and flip for each image of a pair; default false. */
  readonly independentTransforms?: boolean;
}

/** The crop and flip of an image. */
export interface Transform {
  /** Position of the crop between left and right, and between top and bottom, in [0, 1). */
  readonly across: number;
  readonly down: number;
  readonly flip: boolean;
}

/** The centre crop without a flip. */
export const centred: Transform = { across: 0.5, down: 0.5, flip: false };

/** SDXL's size and crop conditioning (Podell et al. 2023): [original height, original width, top, left, height, width], in pixels. */
export type TimeIds = readonly [number, number, number, number, number, number];

/** An image prepared for a network. */
export interface PreparedImage {
  /** Row-major values [3, height, width] in [−1, 1]. */
  readonly values: Float32Array;
  readonly timeIds: TimeIds;
}

/**
 * [height, width] of `size`.
 * @throws TensorError where a side is not a whole number above 0
 */
export function targetSize({ size }: Pick<PreprocessOptions, 'size'>): readonly [number, number] {
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  if (![height, width].every((side) => Number.isInteger(side) && side > 0))
    throw new TensorError(`size: the sides of an image are whole numbers above 0, got ${height} × ${width}`);
  return [height, width];
}

/** Draws the transforms of a pair's two images, and whether its caption is dropped; depends on key and options alone. */
export function drawTransforms(
  key: HostKey,
  options: PreprocessOptions,
): { readonly winner: Transform; readonly loser: Transform; readonly dropCaption: boolean } {
  const side = (sideKey: HostKey): Transform => ({
    across: options.crop === 'random' ? uniform(sideKey, 0) : 0.5,
    down: options.crop === 'random' ? uniform(sideKey, 1) : 0.5,
    flip: options.flip && uniform(sideKey, 2) < 0.5,
  });
  const winner = side(foldKey(key, 0));
  return {
    winner,
    loser: options.independentTransforms ? side(foldKey(key, 1)) : winner,
    dropCaption: uniform(key, 0) < options.captionDropout,
  };
}

/**
 * Start of a crop of `length` along an axis of `size`: uniform for a uniform `at`. 0.5 is the centre, with halves rounded to even,
 * as torchvision's CenterCrop does.
 */
function cropStart(size: number, length: number, at: number): number {
  const margin = size - length;
  if (at !== 0.5) return Math.floor(at * (margin + 1));
  const start = Math.floor(margin / 2);
  return margin % 2 === 1 && start % 2 === 1 ? start + 1 : start;
}

/**
 * The smallest size at which an image covers the target, as torchvision's Resize of the shorter side computes it: the other side
 * is multiplied, divided and then truncated.
 */
function coveringSize(image: Image, [height, width]: readonly [number, number]) {
  return image.height * width <= image.width * height
    ? { height, width: Math.floor((height * image.width) / image.height) }
    : { height: Math.floor((width * image.height) / image.width), width };
}

/**
 * A whole image for image-to-image, [3, height, width] from −1 to 1, without a crop: resized by Lanczos' filter, as diffusers'
 * VaeImageProcessor does. Without a `size` it is the image's own, cut to multiples of `factor`.
 */
export function prepareWhole(
  image: Image,
  {
    factor,
    size = [image.height, image.width],
  }: { readonly factor: number; readonly size?: readonly [number, number] | undefined },
): { readonly values: Float32Array; readonly size: readonly [number, number] } {
  const [rows, columns] = size.map((side) => side - (side % factor)) as [number, number];
  if (rows === 0 || columns === 0)
    throw new TensorError(
      `an image of ${size.join(' × ')} pixels is smaller than ${factor} pixels, the size of a latent`,
    );
  const values = resizeWindow(image, { height: rows, width: columns, top: 0, left: 0, rows, columns }, 'lanczos');
  return { values: values.map((value) => value / 127.5 - 1), size: [rows, columns] };
}

/** Mirrors, resizes and crops an image, and scales it to −1 … 1. */
export function prepareImage(
  image: Image,
  [height, width]: readonly [number, number],
  { across, down, flip }: Transform,
): PreparedImage {
  const resized = coveringSize(image, [height, width]);
  const top = cropStart(resized.height, height, down);
  const left = cropStart(resized.width, width, across);
  // The flip precedes the crop, so `left` counts from the left edge of the mirrored image.
  const fromLeft = flip ? resized.width - width - left : left;
  const values = resizeWindow(image, { ...resized, top, left: fromLeft, rows: height, columns: width });
  if (flip) for (let row = 0; row < 3 * height; row++) values.subarray(row * width, (row + 1) * width).reverse();
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) / 127.5 - 1;
  return { values, timeIds: [image.height, image.width, top, left, height, width] };
}
