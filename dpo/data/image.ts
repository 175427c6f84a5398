import { FormatError } from '../../tensor/index.ts';

/** A picture as pixels. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of each pixel, 0 to 255, row by row from the top: `height · width · 3` bytes. */
  readonly data: Uint8Array;
}

/** Bytes that are no picture, or a broken one. */
export class PictureError extends FormatError {
  override name = 'PictureError';
}

/** Makes pixels of the bytes of a picture's file; `place` is what messages call it. Throws a PictureError. */
export type PictureDecoder = (bytes: Uint8Array, place: string) => Promise<Picture>;

/** Above this a picture is taken for an attempt to exhaust memory. */
const mostPixels = 2 ** 27;

/** Refuses sizes that no picture of a data set has. */
export function checkPictureSize(width: number, height: number, place: string): void {
  if (width < 1 || height < 1 || width * height > mostPixels)
    throw new PictureError(
      `${place}: a picture of ${width} × ${height} pixels cannot be used (the most is 2^27 pixels)`,
    );
}
