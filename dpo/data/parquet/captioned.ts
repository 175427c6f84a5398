import { FormatError } from '../../../tensor/index.ts';
import type { ImageDecoder } from '../image.ts';
import { lastAtMost } from '../order.ts';
import { type CaptionedSource, checkIndex } from '../sources.ts';
import { groupCache } from './groupCache.ts';
import { checkColumns, type ParquetFile } from './parquetFile.ts';
import { imageOf, textOf } from './values.ts';

/** Captioned images of Parquet files with the columns caption, and jpg or image, the bytes of an image file. */
export function parquetCaptioned(
  name: string,
  files: readonly ParquetFile[],
  decode: ImageDecoder,
): Omit<CaptionedSource, keyof AsyncDisposable> {
  const column = (['jpg', 'image'] as const).find((one) => files.every(({ columns }) => columns.has(one)));
  if (column === undefined) {
    const found = [...(files[0]?.columns.keys() ?? [])].join(', ');
    throw new FormatError(`${name}: there is no column jpg or image with the images (columns: ${found})`);
  }
  for (const file of files) checkColumns(file, { caption: 'text', [column]: 'image' });
  const starts = [0];
  for (const { rows } of files) starts.push((starts.at(-1) as number) + rows);
  const count = starts.at(-1) as number;
  const rowOf = groupCache(files, ['caption', column]);
  return {
    name,
    count,
    groups: files.flatMap(({ groupStarts }, i) =>
      groupStarts.slice(1).map((end, group) => ({
        start: (starts[i] as number) + (groupStarts[group] as number),
        end: (starts[i] as number) + end,
      })),
    ),
    async read(index) {
      checkIndex({ name, count }, index);
      const fileIndex = lastAtMost(starts.slice(0, -1), index);
      const row = index - (starts[fileIndex] as number);
      const place = `${(files[fileIndex] as ParquetFile).name}, row ${row}`;
      const values = await rowOf(fileIndex, row);
      return {
        caption: textOf(values, 'caption', place),
        image: await decode(imageOf(values, column, place), `${place}, ${column}`),
        place,
      };
    },
  };
}
