import { lastAtMost } from '../order.ts';
import type { ParquetFile } from './parquetFile.ts';

export type Row = Readonly<Record<string, unknown>>;

/**
 * Reads single rows of Parquet files, where a column can only be read by the row group. The groups that were read last are
 * kept as they are on disk, with images still compressed: two of them, since a batch may lie across a border.
 */
export function groupCache(files: readonly ParquetFile[], columns: readonly string[]) {
  const recent = new Map<string, Promise<readonly Row[]>>();
  return async function rowOf(fileIndex: number, row: number): Promise<Row> {
    const file = files[fileIndex] as ParquetFile;
    const group = lastAtMost(file.groupStarts.slice(0, -1), row);
    const [start, end] = file.groupStarts.slice(group, group + 2) as [number, number];
    const name = `${fileIndex} ${group}`;
    const rows = recent.get(name) ?? file.read(columns, start, end);
    recent.delete(name);
    recent.set(name, rows);
    if (recent.size > 2) recent.delete(recent.keys().next().value as string);
    return (await rows)[row - start] as Row;
  };
}
