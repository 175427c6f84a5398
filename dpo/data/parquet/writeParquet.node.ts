import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { replaceFile } from '../../../tensor/index.node.ts';
import { TensorError } from '../../../tensor/index.ts';

/** Types of the columns that can be written. */
export const columnTypes = {
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  moment: { type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'NANOS' } },
  binary: { type: 'BYTE_ARRAY' },
  boolean: { type: 'BOOLEAN' },
  double: { type: 'DOUBLE' },
  integer: { type: 'INT64' },
} as const;

/** A type of column. */
export type ColumnType = keyof typeof columnTypes;

/** Writes a Parquet file of `count` rows in row groups of `rowGroup` rows; `rowOf` is called for one group at a time. */
export async function writeParquet<const S extends Readonly<Record<string, ColumnType>>>(
  file: string,
  schema: S,
  count: number,
  rowOf: (index: number) => Readonly<Record<keyof S, unknown>>,
  rowGroup: number,
): Promise<void> {
  if (!Number.isInteger(rowGroup) || rowGroup < 1)
    throw new TensorError(`rowGroup: the rows of a group are a whole number above 0, got ${rowGroup}`);
  const columns = Object.entries(schema);
  await replaceFile(file, async (write) => {
    const writer = new ByteWriter();
    const parquet = new ParquetWriter({
      writer,
      schema: [
        { name: 'root', num_children: columns.length },
        ...columns.map(([name, type]) => ({ name, repetition_type: 'OPTIONAL' as const, ...columnTypes[type] })),
      ],
    });
    for (let start = 0; start < count; start += rowGroup) {
      const rows = Array.from({ length: Math.min(rowGroup, count - start) }, (_, i) => rowOf(start + i));
      await parquet.write({
        columnData: columns.map(([name]) => ({ name, data: rows.map((row) => row[name]) })),
        rowGroupSize: rowGroup,
      });
    }
    await parquet.finish();
    await write(writer.getBytes());
  });
}
