import { encode } from 'fast-png';
import { type Image, ImageError } from './image.ts';

/**
 * Encodes an image as a PNG file, without loss.
 * @throws ImageError where `data` does not have height · width · 3 bytes
 */
export function encodePng({ width, height, data }: Image): Uint8Array {
  if (data.length !== width * height * 3)
    throw new ImageError(
      `an image of ${width} × ${height} pixels has ${width * height * 3} values, not ${data.length}`,
    );
  return encode({ width, height, data, channels: 3 });
}
