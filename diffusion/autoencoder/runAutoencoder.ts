import { concat, dispose, realize, type Tensor } from '../../tensor/index.ts';
import type { Autoencoder, LatentDistribution } from './autoencoder.ts';
import { inTiles, needsTiles, type Tiling, tilingsOf } from './tiling.ts';

/** Options of encoding and decoding images part by part. */
export interface RunAutoencoderOptions {
  /**
   * Side of tiles in pixels. Images that are larger are computed tile by tile with blended seams. Default: 512; null
   * computes every image whole.
   */
  readonly tileSize?: number | null;
  /** The part of a tile's side that it shares with the next; default 0.25. */
  readonly tileOverlap?: number;
}

const defaultTileSize = 512;

/** Computes a whole batch one image, and one tile, at a time; every result is realized before the next is begun. */
async function oneByOne(x: Tensor, tiling: Tiling | undefined, compute: (part: Tensor) => Tensor): Promise<Tensor> {
  const images: Tensor[] = [];
  const parts: Tensor[] = [];
  const run = async (part: Tensor): Promise<Tensor> => {
    const result = await realize(compute(part));
    parts.push(result);
    return result;
  };
  for (let i = 0; i < (x.shape[0] as number); i++) {
    const image = x.sliceAxis(0, i, i + 1);
    const isTiled = tiling !== undefined && needsTiles(image, tiling);
    images.push(await (isTiled ? inTiles(image, tiling, run).then(realize<Tensor>) : run(image)));
  }
  const all = await realize(concat(images, 0));
  dispose([...images, ...parts].filter((one) => one !== all));
  return all;
}

const tilings = ({ tileSize = defaultTileSize, tileOverlap }: RunAutoencoderOptions, factor: number) =>
  tileSize === null ? undefined : tilingsOf(tileSize, factor, tileOverlap);

/**
 * The distributions of images' latents, computed image by image and, above the tile size, tile by tile: [N, 3, H, W] in
 * [−1, 1] → mean and log variance.
 */
export async function encodeImages<P>(
  autoencoder: Autoencoder<P>,
  params: P,
  images: Tensor,
  options: RunAutoencoderOptions = {},
): Promise<LatentDistribution> {
  const tiling = tilings(options, autoencoder.factor)?.encode;
  const moments = await oneByOne(images, tiling, (part) => autoencoder.encodeMoments(params, part));
  const distribution = await realize(autoencoder.distributionOf(moments));
  if (distribution.mean !== moments) dispose(moments);
  return distribution;
}

/** Images of unscaled latents [N, channels, h, w], computed image by image and, above the tile size, tile by tile. */
export async function decodeLatents<P>(
  autoencoder: Autoencoder<P>,
  params: P,
  latents: Tensor,
  options: RunAutoencoderOptions = {},
): Promise<Tensor> {
  const tiling = tilings(options, autoencoder.factor)?.decode;
  return oneByOne(latents, tiling, (part) => autoencoder.decode(params, part));
}
