import { type Tensor, TensorError, tensor } from '../../tensor/index.ts';
import type { TileFunction } from './tiling.ts';

/** Tiles of AutoencoderTiny. */
export interface CanvasTiling {
  /** Rows and columns of a tile of the input. */
  readonly size: number;
  /** The part of a tile's side that it shares with the next. */
  readonly overlap: number;
  /** Rows of the result for one row of the input: 8 for latents that are decoded, 1/8 for images that are encoded. */
  readonly scale: number;
}

/**
 * Applies `compute` to tiles of x [N, C, H, W] and lays each result over those before it, through a mask that rises from 0
 * to 1 where it begins, as diffusers' AutoencoderTiny does with tiling on.
 * @throws TensorError where a tile shares less than two rows of results with the next, or all of them.
 */
export async function inCanvas(
  x: Tensor,
  { size, overlap, scale }: CanvasTiling,
  compute: TileFunction,
): Promise<Tensor> {
  const shared = Math.trunc(size * overlap);
  const seam = shared * scale;
  if (!(seam >= 2 && shared < size && Number.isInteger(seam)))
    throw new TensorError(`tiles: tiles of ${size} that share a part ${overlap} cannot be blended`);
  const [height, width] = [x.shape[2] as number, x.shape[3] as number];
  const [rows, columns] = [height * scale, width * scale];
  let canvas: Tensor | undefined;
  for (let top = 0; top < height; top += size - shared) {
    for (let left = 0; left < width; left += size - shared) {
      const part = x.sliceAxis(2, top, Math.min(top + size, height)).sliceAxis(3, left, Math.min(left + size, width));
      const tile = await compute(part);
      const [h, w] = [tile.shape[2] as number, tile.shape[3] as number];
      /** 0, 1/(seam − 1), …, 1, 1, … where a tile lies over others, else 1. */
      const mask = (begin: number, count: number): number[] =>
        Array.from({ length: count }, (_, i) => (begin === 0 ? 1 : Math.min(1, i / (seam - 1))));
      const weights = tensor(
        mask(top, h).flatMap((row) => mask(left, w).map((column) => row * column)),
        { dtype: 'f32' },
      )
        .cast(tile.dtype)
        .reshape([1, 1, h, w]);
      const onCanvas = (one: Tensor): Tensor =>
        one.pad([
          [0, 0],
          [0, 0],
          [top * scale, rows - top * scale - h],
          [left * scale, columns - left * scale - w],
        ]);
      const laid = onCanvas(tile.mul(weights));
      canvas = canvas === undefined ? laid : canvas.mul(onCanvas(weights).neg().add(1)).add(laid);
    }
  }
  if (canvas === undefined) throw new TensorError('tiles: an image without rows or columns has none');
  return canvas;
}
