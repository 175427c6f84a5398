import { encode } from 'fast-png';
import { type Image, ImageError } from './image.ts';

/** The bytes of a PNG. */
export function encodePng({ width, height, data }: Image): Uint8Array {
  if (data.length !== width * height * 3)
    throw new ImageError(
      `an image of ${width} × ${height} pixels has ${width * height * 3} values, not ${data.length}`,
    );
  return encode({ width, height, data, channels: 3 });
}
