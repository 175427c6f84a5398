import { FormatError } from '../../tensor/index.ts';

/** An image as pixels. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of each pixel, 0 to 255, row by row from the top: `height · width · 3` bytes. */
  readonly data: Uint8Array;
}

/** Bytes that are no image, or a broken one. */
export class ImageError extends FormatError {
  override name = 'ImageError';
}

/** Makes pixels of the bytes of an image's file; `place` is what messages call it. Throws a ImageError. */
export type ImageDecoder = (bytes: Uint8Array, place: string) => Promise<Image>;

/** Above this an image is taken for an attempt to exhaust memory. */
const mostPixels = 2 ** 27;

/** Refuses sizes that no image of a data set has. */
export function checkImageSize(width: number, height: number, place: string): void {
  if (width < 1 || height < 1 || width * height > mostPixels)
    throw new ImageError(`${place}: an image of ${width} × ${height} pixels cannot be used (the most is 2^27 pixels)`);
}

/** Image `i` of many [N, 3, height, width], from −1 to 1, with 8 bits a channel. */
export function imageOf(values: ArrayLike<number>, i: number, [height, width]: readonly [number, number]): Image {
  const area = height * width;
  const data = new Uint8Array(3 * area);
  for (let pixel = 0; pixel < area; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = (values[(3 * i + channel) * area + pixel] as number) + 1;
      data[3 * pixel + channel] = Math.min(255, Math.max(0, Math.round(value * 127.5)));
    }
  }
  return { width, height, data };
}
