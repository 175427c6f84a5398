import type { Image } from './image.ts';

/** Weights are integers in units of 2⁻²², as in Pillow, so that sums are exact and bytes equal Pillow's. */
const one = 2 ** 22;

/** The inputs of an output pixel: index of the first, and the weights of it and its successors in units of 1 / `one`. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * Taps of the antialiased bilinear filter of Pillow and torchvision for outputs [from, to) of `size`, from `length` inputs. The
 * filter is a triangle two input pixels wide for enlarging, and two output pixels wide for shrinking.
 */
function tapsOf(length: number, size: number, from: number, to: number): Taps[] {
  const scale = length / size;
  const support = Math.max(scale, 1);
  return Array.from({ length: to - from }, (_, i) => {
    const centre = (from + i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(length, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, j) =>
      Math.max(0, 1 - Math.abs((first + j - centre + 0.5) * (1 / support))),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => Math.floor((weight / sum) * one + 0.5)) };
  });
}

/** A weighted sum of bytes, rounded to a byte; rounded weights can put it slightly above 255. */
const byteOf = (sum: number): number => Math.min(255, Math.floor((sum + one / 2) / one));

/** A window of an image resized to `height` × `width`, in pixels: `rows` × `columns` from (top, left). */
export interface Window {
  readonly height: number;
  readonly width: number;
  readonly top: number;
  readonly left: number;
  readonly rows: number;
  readonly columns: number;
}

/**
 * Resizes an image, antialiased, and returns a window of it as [3, rows, columns], integers from 0 to 255: the bytes of Pillow's
 * `Image.resize`, which filters across, then down, and rounds after each. Computes only the window.
 */
export function resizeWindow(image: Image, { height, width, top, left, rows, columns }: Window): Float32Array {
  const across = tapsOf(image.width, width, left, left + columns);
  const down = tapsOf(image.height, height, top, top + rows);
  const firstRow = down[0]?.first ?? 0;
  const lastRow = down.reduce((last, { first, weights }) => Math.max(last, first + weights.length), firstRow);
  const narrow = new Uint8Array((lastRow - firstRow) * columns * 3);
  for (let y = firstRow; y < lastRow; y++) {
    for (let x = 0; x < columns; x++) {
      const { first, weights } = across[x] as Taps;
      let [r, g, b] = [0, 0, 0];
      let from = (y * image.width + first) * 3;
      for (const weight of weights) {
        r += weight * (image.data[from] as number);
        g += weight * (image.data[from + 1] as number);
        b += weight * (image.data[from + 2] as number);
        from += 3;
      }
      narrow.set([byteOf(r), byteOf(g), byteOf(b)], ((y - firstRow) * columns + x) * 3);
    }
  }
  const out = new Float32Array(3 * rows * columns);
  for (let y = 0; y < rows; y++) {
    const { first, weights } = down[y] as Taps;
    for (let x = 0; x < columns; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let j = 0; j < weights.length; j++)
          sum += (weights[j] as number) * (narrow[((first + j - firstRow) * columns + x) * 3 + channel] as number);
        out[(channel * rows + y) * columns + x] = byteOf(sum);
      }
    }
  }
  return out;
}
