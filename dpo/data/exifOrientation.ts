import exifr from 'exifr';
import type { Image } from './image.ts';

/**
 * The orientation in Exif data, 1 (upright) to 8 (CIPA DC-008, tag 274); 1 for broken data or an undefined value. `exif` begins
 * with the TIFF header.
 */
export async function exifOrientation(exif: Uint8Array | undefined): Promise<number> {
  if (exif === undefined) return 1;
  // Only this tag is read, since others may claim any number of values.
  const read = await exifr.parse(exif, { pick: ['Orientation'], translateValues: false }).catch(() => undefined);
  const orientation: unknown = read?.Orientation;
  const isOne =
    typeof orientation === 'number' && Number.isInteger(orientation) && orientation >= 1 && orientation <= 8;
  return isOne ? orientation : 1;
}

/** Mirrors and turns a stored image upright. Orientations from 5 on exchange rows and columns. */
export function upright(stored: Image, orientation: number): Image {
  if (orientation === 1) return stored;
  const isTransposed = orientation >= 5;
  const [fromRight, fromBottom] = [
    [2, 3, 7, 8],
    [3, 4, 6, 7],
  ].map((ones) => ones.includes(orientation));
  const [width, height] = isTransposed ? [stored.height, stored.width] : [stored.width, stored.height];
  const data = new Uint8Array(stored.data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const [across, down] = isTransposed ? [y, x] : [x, y];
      const column = fromRight ? stored.width - 1 - across : across;
      const row = fromBottom ? stored.height - 1 - down : down;
      const from = (row * stored.width + column) * 3;
      for (let c = 0; c < 3; c++) data[to + c] = stored.data[from + c] as number;
    }
  }
  return { width, height, data };
}
