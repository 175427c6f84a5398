import { lastAtMost } from '../order.ts';
import type { ParquetFile } from './parquetFile.ts';

/** A row's values by column. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Returns a function that reads one row of Parquet files, which are read by whole row groups. The two groups used last are kept,
 * with images still compressed, since a batch may span two groups.
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
