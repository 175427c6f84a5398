import { concat, type Tensor, TensorError, tensor } from '../../tensor/index.ts';

/** How an image or latents are cut into tiles, and how their results are put together. */
export interface Tiling {
  /** Rows and columns of a tile of the input. */
  readonly size: number;
  /** Rows and columns between the beginnings of tiles. */
  readonly step: number;
  /** Rows and columns of a result that are blended with the result above and on the left. */
  readonly blend: number;
  /** Rows and columns of a result that are kept: those before the next tile's. */
  readonly keep: number;
}

/** What `encode` and `decode` make of a tile of the input; a tile may be computed at once or later. */
export type TileFunction = (tile: Tensor) => Tensor | Promise<Tensor>;

/**
 * The tilings of diffusers' AutoencoderKL: tiles of `tileSize` pixels that share a part `overlap` of their sides.
 * @throws TensorError where a tile would not move on, or does not consist of whole latents.
 */
export function tilingsOf(tileSize: number, factor: number, overlap = 0.25): { encode: Tiling; decode: Tiling } {
  const latents = tileSize / factor;
  const valid = Number.isInteger(latents) && latents >= 1 && overlap >= 0 && overlap < 1;
  const [encodeStep, decodeStep] = [Math.trunc(tileSize * (1 - overlap)), Math.trunc(latents * (1 - overlap))];
  if (!valid || decodeStep < 1)
    throw new TensorError(
      `tiles: ${tileSize} pixels with an overlap of ${overlap} cannot be used; a tile is a multiple of ${factor} pixels, ` +
        'and the overlap is at least 0 and leaves one latent or more of a tile',
    );
  const [encodeBlend, decodeBlend] = [Math.trunc(latents * overlap), Math.trunc(tileSize * overlap)];
  return {
    encode: { size: tileSize, step: encodeStep, blend: encodeBlend, keep: latents - encodeBlend },
    decode: { size: latents, step: decodeStep, blend: decodeBlend, keep: tileSize - decodeBlend },
  };
}

/** Whether an input [N, C, H, W] is larger than one tile. */
export const needsTiles = ({ shape }: Tensor, { size }: Tiling): boolean =>
  (shape[2] as number) > size || (shape[3] as number) > size;

const begins = (length: number, step: number): number[] =>
  Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step);

/** Weights of the later of two results in their seam: 0, 1/e, …, (e − 1)/e along one axis of [N, C, H, W]. */
const ramp = (count: number, axis: 2 | 3, like: Tensor): Tensor =>
  tensor(
    Array.from({ length: count }, (_, i) => i / count),
    { dtype: 'f32' },
  )
    .cast(like.dtype)
    .reshape(axis === 2 ? [1, 1, count, 1] : [1, 1, 1, count]);

/** The later result with its first rows or columns blended with the last ones of the result before it. */
function blendSeam(before: Tensor, after: Tensor, extent: number, axis: 2 | 3): Tensor {
  const [end, length] = [before.shape[axis] as number, after.shape[axis] as number];
  const e = Math.min(extent, end, length);
  if (e === 0) return after;
  const weight = ramp(e, axis, after);
  const seam = before
    .sliceAxis(axis, end - e, end)
    .mul(weight.neg().add(1))
    .add(after.sliceAxis(axis, 0, e).mul(weight));
  return e === length ? seam : concat([seam, after.sliceAxis(axis, e, length)], axis);
}

/**
 * Applies `compute` to tiles of x [N, C, H, W] and joins the results: each is blended with the one above it, then with the
 * one on its left, as diffusers' `tiled_encode` and `tiled_decode` do.
 */
export async function inTiles(x: Tensor, { size, step, blend, keep }: Tiling, compute: TileFunction): Promise<Tensor> {
  const [height, width] = [x.shape[2] as number, x.shape[3] as number];
  const rows: Tensor[] = [];
  let above: readonly Tensor[] = [];
  for (const top of begins(height, step)) {
    const band = x.sliceAxis(2, top, Math.min(top + size, height));
    const results: Tensor[] = [];
    for (const [j, left] of begins(width, step).entries()) {
      const result = await compute(band.sliceAxis(3, left, Math.min(left + size, width)));
      const [over, beside] = [above[j], results[j - 1]];
      const joined = over === undefined ? result : blendSeam(over, result, blend, 2);
      results.push(beside === undefined ? joined : blendSeam(beside, joined, blend, 3));
    }
    const kept = results.map((result) =>
      result
        .sliceAxis(2, 0, Math.min(keep, result.shape[2] as number))
        .sliceAxis(3, 0, Math.min(keep, result.shape[3] as number)),
    );
    rows.push(concat(kept, 3));
    above = results;
  }
  return concat(rows, 2);
}
