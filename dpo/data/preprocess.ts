import { TensorError } from '../../tensor/index.ts';
import { foldKey, type HostKey, uniform } from './draws.ts';
import type { Image } from './image.ts';
import { resizeWindow } from './resize.ts';

/**
 * What happens to images and captions before training. What is random is drawn once a pair, so that its two sides get
 * the same crop, flip and dropout; with `independentTransforms` crop and flip are drawn for each side, as the authors of
 * Diffusion-DPO do it. Captions are dropped for both sides or for none, always.
 */
export interface PreprocessOptions {
  /** Pixels of a side, or [height, width]. The image is resized until it covers this, keeping its proportions. */
  readonly size: number | readonly [number, number];
  /** Which part is kept where the proportions differ. */
  readonly crop: 'center' | 'random';
  /** Whether half of the pairs are mirrored, left for right. */
  readonly flip: boolean;
  /** Share of pairs whose caption becomes the empty one. */
  readonly captionDropout: number;
  readonly independentTransforms?: boolean;
}

/** What was drawn for an image. */
export interface Transform {
  /** Where the crop lies between its extremes, from 0 up to but without 1. */
  readonly across: number;
  readonly down: number;
  readonly flip: boolean;
}

/** The middle, not mirrored. */
export const centred: Transform = { across: 0.5, down: 0.5, flip: false };

/** [original height, original width, crop top, crop left, height, width]: the micro-conditioning of SDXL. */
export type TimeIds = readonly [number, number, number, number, number, number];

/** An image as networks take it. */
export interface PreparedImage {
  /** [3, height, width], from −1 to 1. */
  readonly values: Float32Array;
  readonly timeIds: TimeIds;
}

/** Height and width of what `options.size` asks for. */
export function targetSize({ size }: Pick<PreprocessOptions, 'size'>): readonly [number, number] {
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  if (![height, width].every((side) => Number.isInteger(side) && side > 0))
    throw new TensorError(`size: the sides of an image are whole numbers above 0, got ${height} × ${width}`);
  return [height, width];
}

/** The transforms of the two sides of a pair, and whether its caption is dropped: a function of the key alone. */
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
 * Where a crop of `length` begins along an axis of `size`: each place is as likely for a random `at`. 0.5 is the middle,
 * where a half is rounded to the even place, as torchvision's CenterCrop does it.
 */
function cropStart(size: number, length: number, at: number): number {
  const margin = size - length;
  if (at !== 0.5) return Math.floor(at * (margin + 1));
  const start = Math.floor(margin / 2);
  return margin % 2 === 1 && start % 2 === 1 ? start + 1 : start;
}

/**
 * The size at which an image covers a target with one side equal to it, as torchvision's Resize of the shorter side: the
 * other side is cut to a whole number after it is multiplied and divided. An image that fits already keeps its size.
 */
function coveringSize(image: Image, [height, width]: readonly [number, number]) {
  return image.height * width <= image.width * height
    ? { height, width: Math.floor((height * image.width) / image.height) }
    : { height: Math.floor((width * image.height) / image.width), width };
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
  // The image is mirrored first, so `left` counts from the left of what the network sees.
  const fromLeft = flip ? resized.width - width - left : left;
  const values = resizeWindow(image, { ...resized, top, left: fromLeft, rows: height, columns: width });
  if (flip) for (let row = 0; row < 3 * height; row++) values.subarray(row * width, (row + 1) * width).reverse();
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) / 127.5 - 1;
  return { values, timeIds: [image.height, image.width, top, left, height, width] };
}
