import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { attempt, makeFolder, readWholeIfThere, replaceFile } from '../../tensor/index.node.ts';
import { formatShape, TensorError } from '../../tensor/index.ts';
import { mapConcurrently } from './mapConcurrently.ts';
import type { PairBatch } from './pairBatches.ts';

/** Options of `cachedEncodings`. */
export interface EncodingOptions {
  /** The cache's folder, with one file for each encoding; made where it is missing. */
  readonly folder: string;
  /** Name of the encoder with its weights: other weights need another name. */
  readonly encoder: string;
  /** Shape of one encoding: [channels, height, width]. */
  readonly encodedShape: readonly [number, number, number];
  /** Encodes images [n, 3, height, width] in [−1, 1] to [n, ...encodedShape], both row-major. */
  readonly encode: (images: Float32Array, shape: readonly [number, number, number, number]) => Promise<Float32Array>;
}

/**
 * Replaces the images of batches by their encodings, such as the latents of a VAE. Each image is encoded once and its encoding
 * kept on disk, by a hash of the image after crop and flip.
 * @throws TensorError where `encode` returns the wrong count of numbers, or a file cannot be written
 */
export async function* cachedEncodings(
  batches: AsyncIterable<PairBatch>,
  options: EncodingOptions,
): AsyncGenerator<PairBatch> {
  for await (const batch of batches) yield await encodeBatch(batch, options);
}

async function encodeBatch(batch: PairBatch, options: EncodingOptions): Promise<PairBatch> {
  const [count, ...imageShape] = batch.shape;
  const area = imageShape.reduce((a, b) => a * b, 1);
  const images = [batch.winner, batch.loser].flatMap((side) =>
    Array.from({ length: count }, (_, i) => side.subarray(i * area, (i + 1) * area)),
  );
  const hashes = images.map((image) => hashOf(image, imageShape, options));
  const encodings = new Map<string, Float32Array>();
  const unique = [...new Map(hashes.map((hash, i) => [hash, images[i] as Float32Array]))];
  await mapConcurrently(unique, 8, async ([hash]) => {
    const stored = await readEncoding(pathOf(hash, options), options);
    if (stored !== undefined) encodings.set(hash, stored);
  });

  const missing = unique.filter(([hash]) => !encodings.has(hash));
  if (missing.length > 0) {
    const fresh = await encodeAll(
      missing.map(([, image]) => image),
      imageShape,
      options,
    );
    await mapConcurrently(missing, 8, async ([hash], i) => {
      encodings.set(hash, fresh[i] as Float32Array);
      await writeEncoding(pathOf(hash, options), fresh[i] as Float32Array);
    });
  }

  const size = lengthOf(options);
  const side = (first: number): Float32Array => {
    const values = new Float32Array(count * size);
    for (let i = 0; i < count; i++) values.set(encodings.get(hashes[first + i] as string) as Float32Array, i * size);
    return values;
  };
  return { ...batch, winner: side(0), loser: side(count), shape: [count, ...options.encodedShape] };
}

const lengthOf = ({ encodedShape }: EncodingOptions): number => encodedShape.reduce((a, b) => a * b, 1);

async function encodeAll(
  images: readonly Float32Array[],
  shape: readonly number[],
  options: EncodingOptions,
): Promise<readonly Float32Array[]> {
  const area = (images[0] as Float32Array).length;
  const all = new Float32Array(images.length * area);
  images.forEach((image, i) => {
    all.set(image, i * area);
  });
  const [, height, width] = shape as [number, number, number];
  const encoded = await options.encode(all, [images.length, 3, height, width]);
  const size = lengthOf(options);
  if (encoded.length !== images.length * size) {
    throw new TensorError(
      `cachedEncodings: ${options.encoder} must return ${formatShape([images.length, ...options.encodedShape])}, ` +
        `which is ${images.length * size} numbers, but returned ${encoded.length}`,
    );
  }
  return images.map((_, i) => encoded.slice(i * size, (i + 1) * size));
}

/** SHA-256 of everything that determines an encoding. */
function hashOf(image: Float32Array, shape: readonly number[], { encoder, encodedShape }: EncodingOptions): string {
  const hash = createHash('sha256').update(JSON.stringify([encoder, encodedShape, shape]));
  return hash.update(new Uint8Array(image.buffer, image.byteOffset, image.byteLength)).digest('hex');
}

const pathOf = (hash: string, { folder }: EncodingOptions): string =>
  join(folder, hash.slice(0, 2), `${hash.slice(2)}.f32`);

/** The stored encoding; undefined where the file is missing or of the wrong length. */
async function readEncoding(path: string, options: EncodingOptions): Promise<Float32Array | undefined> {
  const bytes = await readWholeIfThere(path);
  if (bytes?.length !== 4 * lengthOf(options)) return undefined;
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

async function writeEncoding(path: string, values: Float32Array): Promise<void> {
  await attempt('write', path, makeFolder(dirname(path)));
  await replaceFile(path, (write) => write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
}
