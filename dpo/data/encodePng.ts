import { encode } from 'fast-png';
import { type Picture, PictureError } from './image.ts';

/** The bytes of a PNG. */
export function encodePng({ width, height, data }: Picture): Uint8Array {
  if (data.length !== width * height * 3)
    throw new PictureError(
      `a picture of ${width} × ${height} pixels has ${width * height * 3} values, not ${data.length}`,
    );
  return encode({ width, height, data, channels: 3 });
}
