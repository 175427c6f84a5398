import { FormatError } from '../../tensor/index.ts';

/** A decoded RGB image, 8 bits a channel. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of each pixel, 0 to 255, row by row from the top: `height · width · 3` bytes. */
  readonly data: Uint8Array;
}

/** Bytes that are not an image, or a broken image. */
export class ImageError extends FormatError {
  override name = 'ImageError';
}

/**
 * Decodes the bytes of an image file; `place` names the file in messages.
 * @throws ImageError
 */
export type ImageDecoder = (bytes: Uint8Array, place: string) => Promise<Image>;

/** Limit on pixels: a larger image would exhaust memory. */
const maxPixels = 2 ** 27;

/** @throws ImageError where an image has no pixels, or too many */
export function checkImageSize(width: number, height: number, place: string): void {
  if (width < 1 || height < 1 || width * height > maxPixels)
    throw new ImageError(`${place}: an image of ${width} × ${height} pixels cannot be used (the most is 2^27 pixels)`);
}

/** Rounds halves to the even number, as NumPy does. */
function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
}

/** 255·(x/2 + 1/2) in float32, clamped and rounded: the byte that diffusers' VaeImageProcessor gives. */
function byteOfSigned(x: number): number {
  const unit = Math.fround(Math.fround(x / 2) + 0.5);
  return roundHalfEven(Math.fround(Math.min(1, Math.max(0, unit)) * 255));
}

/** Image `i` of row-major values [N, 3, height, width] in [−1, 1], rounded to 8 bits a channel. */
export function imageOf(values: ArrayLike<number>, i: number, [height, width]: readonly [number, number]): Image {
  const area = height * width;
  const data = new Uint8Array(3 * area);
  for (let pixel = 0; pixel < area; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      data[3 * pixel + channel] = byteOfSigned(values[(3 * i + channel) * area + pixel] as number);
    }
  }
  return { width, height, data };
}
