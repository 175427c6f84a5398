import { TensorError } from '../../../tensor/index.ts';
import { encodePng } from '../encodePng.ts';
import type { CaptionedPicture } from '../sources.ts';
import { writeParquet } from './writeParquet.node.ts';

/** Writes captioned pictures as a Parquet file with the columns caption and image, which are PNG, without loss. */
export async function writeCaptioned(
  pictures: readonly Omit<CaptionedPicture, 'place'>[],
  file: string,
  { rowGroup = 100 }: { readonly rowGroup?: number } = {},
): Promise<void> {
  if (pictures.length === 0) throw new TensorError(`cannot write ${file}: there are no pictures`);
  const rowOf = (index: number) => {
    const { caption, picture } = pictures[index] as (typeof pictures)[number];
    return { caption, image: encodePng(picture) };
  };
  await writeParquet(file, { caption: 'text', image: 'binary' }, pictures.length, rowOf, rowGroup);
}
