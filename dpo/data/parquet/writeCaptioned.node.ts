import { TensorError } from '../../../tensor/index.ts';
import { encodePng } from '../encodePng.ts';
import type { CaptionedImage } from '../sources.ts';
import { writeParquet } from './writeParquet.node.ts';

/**
 * Writes captioned images as a Parquet file with the columns caption and image (PNG); `rowGroup` rows form a row group.
 * @throws TensorError without images, for an invalid rowGroup, or where the file cannot be written
 */
export async function writeCaptioned(
  images: readonly Omit<CaptionedImage, 'place'>[],
  file: string,
  { rowGroup = 100 }: { readonly rowGroup?: number } = {},
): Promise<void> {
  if (images.length === 0) throw new TensorError(`cannot write ${file}: there are no images`);
  const rowOf = (index: number) => {
    const { caption, image } = images[index] as (typeof images)[number];
    return { caption, image: encodePng(image) };
  };
  await writeParquet(file, { caption: 'text', image: 'binary' }, images.length, rowOf, rowGroup);
}
