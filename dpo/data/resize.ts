import type { Image } from './image.ts';

/** Weights are integers in units of 2⁻²², as in Pillow, so that sums are exact and bytes equal Pillow's. */
const one = 2 ** 22;

/** The inputs of an output pixel: index of the first, and the weights of it and its successors in units of 1 / `one`. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Pillow's filters of x ≥ 0, and how far they reach: in input pixels where an image grows, in output pixels where it shrinks. */
const filters = {
  bilinear: { reach: 1, weight: (x: number) => Math.max(0, 1 - x) },
  /** Keys 1981 with a = −1/2. */
  bicubic: {
    reach: 2,
    weight: (x: number) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0),
  },
  lanczos: { reach: 3, weight: (x: number) => (x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const;

export type ResizeFilter = keyof typeof filters;

/** Weights of an antialiased filter, as Pillow and torchvision have it. Outputs [from, to) of `size`, made of `length` inputs. */
function tapsOf(length: number, size: number, from: number, to: number, filter: ResizeFilter): Taps[] {
  const { reach, weight: weightAt } = filters[filter];
  const scale = length / size;
  const stretch = Math.max(scale, 1);
  const support = reach * stretch;
  return Array.from({ length: to - from }, (_, i) => {
    const centre = (from + i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(length, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, j) =>
      weightAt(Math.abs((first + j - centre + 0.5) * (1 / stretch))),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => roundAway((weight / sum) * one)) };
  });
}

/** Halves away from 0, as in Pillow. */
const roundAway = (x: number): number => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);

/** A weighted sum of bytes as a byte: filters with negative weights overshoot, and weights are rounded. */
const byteOf = (sum: number): number => Math.min(255, Math.max(0, Math.floor((sum + one / 2) / one)));

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
export function resizeWindow(
  image: Image,
  { height, width, top, left, rows, columns }: Window,
  filter: ResizeFilter = 'bilinear',
): Float32Array {
  const across = tapsOf(image.width, width, left, left + columns, filter);
  const down = tapsOf(image.height, height, top, top + rows, filter);
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
