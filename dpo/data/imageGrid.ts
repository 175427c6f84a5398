import { encodePng } from './encodePng.ts';
import { checkImageSize, imageOf } from './image.ts';

/** Options of `gridPng`. */
export interface GridOptions {
  /** [height, width] of one image in pixels. */
  readonly size: readonly [number, number];
  /** Images in a row; default 8. */
  readonly columns?: number;
  /** Each pixel of an image covers zoom × zoom pixels; default 4. */
  readonly zoom?: number;
  /** White pixels between and around images; default 4, and none for a single image. */
  readonly gap?: number;
  /** Text chunks of the PNG file by keyword. */
  readonly text?: Readonly<Record<string, string>>;
}

/**
 * The layout of a grid of `count` images, in pixels.
 * @throws ImageError where the grid has too many pixels
 */
export function gridLayout(count: number, { size, columns = 8, zoom = 4, gap = count === 1 ? 0 : 4 }: GridOptions) {
  const [rows, cols] = size;
  const across = Math.min(columns, count);
  const [cellHeight, cellWidth] = [rows * zoom + gap, cols * zoom + gap];
  const [width, height] = [across * cellWidth + gap, Math.ceil(count / across) * cellHeight + gap];
  checkImageSize(width, height, `a grid of ${count} images, ${zoom} times as large`);
  return { width, height, across, cellWidth, cellHeight, gap };
}

/**
 * A PNG file with a grid of images, row-major values [N, 3, height, width] in [−1, 1].
 * @throws ImageError where the grid has too many pixels
 */
export function gridPng(values: ArrayLike<number>, options: GridOptions): Uint8Array {
  const { size, zoom = 4, text } = options;
  const [rows, cols] = size;
  const count = values.length / (3 * rows * cols);
  const { width, height, across, cellWidth, cellHeight, gap } = gridLayout(count, options);
  const data = new Uint8Array(width * height * 3).fill(255);
  for (let i = 0; i < count; i++) {
    const image = imageOf(values, i, size);
    const [left, top] = [gap + (i % across) * cellWidth, gap + Math.floor(i / across) * cellHeight];
    for (let y = 0; y < rows * zoom; y++) {
      for (let x = 0; x < cols * zoom; x++) {
        const from = 3 * (Math.floor(y / zoom) * cols + Math.floor(x / zoom));
        data.set(image.data.subarray(from, from + 3), ((top + y) * width + left + x) * 3);
      }
    }
  }
  return encodePng({ width, height, data }, text);
}
