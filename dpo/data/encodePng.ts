import { encode } from 'fast-png';
import { type Image, ImageError } from './image.ts';

/** PNG's text chunks are Latin-1; any other character is written as JSON escapes it. */
const latin1 = (text: string): string =>
  text.replace(/[\u0100-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * Encodes an image as a PNG file, without loss; `text` are its text chunks by keyword.
 * @throws ImageError where `data` does not have height · width · 3 bytes
 */
export function encodePng({ width, height, data }: Image, text: Readonly<Record<string, string>> = {}): Uint8Array {
  if (data.length !== width * height * 3)
    throw new ImageError(
      `an image of ${width} × ${height} pixels has ${width * height * 3} values, not ${data.length}`,
    );
  const chunks = Object.fromEntries(Object.entries(text).map(([keyword, value]) => [keyword, latin1(value)]));
  return encode({ width, height, data, channels: 3, text: chunks });
}
