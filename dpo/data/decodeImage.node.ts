import { JsColorType, Transformer } from '@napi-rs/image';
import { readWhole } from '../../tensor/index.node.ts';
import { exifOrientation, upright } from './exifOrientation.ts';
import { checkImageSize, type Image, ImageError } from './image.ts';
import { exifOf, imageFormat } from './imageFormat.ts';

/** Pixel layouts of the decoder; `bytes` is the size of a channel. */
const layouts: ReadonlyMap<JsColorType, { readonly channels: number; readonly bytes: number }> = new Map([
  [JsColorType.L8, { channels: 1, bytes: 1 }],
  [JsColorType.La8, { channels: 2, bytes: 1 }],
  [JsColorType.Rgb8, { channels: 3, bytes: 1 }],
  [JsColorType.Rgba8, { channels: 4, bytes: 1 }],
  [JsColorType.L16, { channels: 1, bytes: 2 }],
  [JsColorType.La16, { channels: 2, bytes: 2 }],
  [JsColorType.Rgb16, { channels: 3, bytes: 2 }],
  [JsColorType.Rgba16, { channels: 4, bytes: 2 }],
]);

/**
 * Decodes a JPEG, PNG or WebP on another thread to 8 bits RGB. The image is turned upright by its Exif orientation,
 * transparency is blended with white, 16 bits are rounded to 8.
 * @throws ImageError that names `place`, for an unknown format, a broken or truncated file, or too many pixels
 */
export async function decodeImage(bytes: Uint8Array, place: string): Promise<Image> {
  const format = imageFormat(bytes, place);
  const image = new Transformer(bytes);
  try {
    const { width, height, colorType } = await image.metadata();
    checkImageSize(width, height, place);
    const layout = layouts.get(colorType);
    if (layout === undefined)
      throw new ImageError(`${place}: pixels of this ${format} are of an unknown kind (${colorType})`);
    const raw = await image.rawPixels();
    const pixels = new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
    const stored = { width, height, data: toRgb(pixels, width * height, layout) };
    // The decoder can turn images too, but prints warnings about Exif data.
    return upright(stored, await exifOrientation(exifOf(bytes, format)));
  } catch (cause) {
    if (cause instanceof ImageError) throw cause;
    throw new ImageError(`${place}: the ${format} is broken: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Reads and decodes an image file. `place` is the place that names the file, for messages.
 * @throws ImageError as `decodeImage`, TensorError where the file cannot be read
 */
export async function readImage(path: string, place?: string): Promise<Image> {
  const what = place === undefined ? path : `${place}: ${path}`;
  return decodeImage(await readWhole(path, what), what);
}

function toRgb(
  pixels: Uint8Array,
  count: number,
  { channels, bytes }: { channels: number; bytes: number },
): Uint8Array {
  if (channels === 3 && bytes === 1) return pixels;
  const wide = bytes === 2 ? new Uint16Array(pixels.slice().buffer) : pixels;
  const largest = bytes === 2 ? 65535 : 255;
  const data = new Uint8Array(count * 3);
  const hasAlpha = channels % 2 === 0;
  for (let pixel = 0; pixel < count; pixel++) {
    const from = pixel * channels;
    const alpha = hasAlpha ? (wide[from + channels - 1] as number) / largest : 1;
    for (let c = 0; c < 3; c++) {
      const value = (wide[channels < 3 ? from : from + c] as number) / largest;
      data[pixel * 3 + c] = Math.round((value * alpha + 1 - alpha) * 255);
    }
  }
  return data;
}
