import { type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema, type SchemaTree } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { FormatError, type RandomAccess, refuseSubstitute } from '../../../tensor/index.ts';

const isOf =
  (...types: readonly string[]) =>
  ({ element }: SchemaTree): boolean =>
    types.includes(element.type ?? '');
const isBytes = isOf('BYTE_ARRAY');

/** What a column must hold, and which columns of Parquet do. */
const columnTypes = {
  /** Bytes, or a structure {bytes, path} as the `datasets` library writes it. */
  image: (column: SchemaTree) =>
    isBytes(column) || column.children.some((child) => child.element.name === 'bytes' && isBytes(child)),
  text: isBytes,
  /** Numbers, or truth values, which count as 1 and 0. */
  label: isOf('DOUBLE', 'FLOAT', 'INT32', 'INT64', 'BOOLEAN'),
} as const;

export type ColumnType = keyof typeof columnTypes;

/** Rows of a row group, of which programs write a million at most unless they are told otherwise. */
const mostRows = 2 ** 24;

/** What one reading may inflate to: images hardly shrink, so that much more is meant to exhaust memory. */
const mostInflated = 2 ** 29;

/** Decompressors that refuse to make more than `limit` bytes in all. */
function boundedCompressors(limit: number): typeof compressors {
  let inflated = 0;
  return Object.fromEntries(
    Object.entries(compressors).map(([codec, decompress]) => [
      codec,
      (input: Uint8Array, outputLength: number) => {
        inflated += outputLength;
        if (!(outputLength >= 0) || inflated > limit)
          throw new FormatError(`its pages inflate to ${inflated} bytes or more, and the most is ${limit}`);
        return decompress(input, outputLength);
      },
    ]),
  );
}

/** A Parquet file, read by row groups. */
export interface ParquetFile {
  readonly name: string;
  readonly rows: number;
  /** The first row of each row group, and the number of rows as the last. */
  readonly groupStarts: readonly number[];
  /** The columns by name. */
  readonly columns: ReadonlyMap<string, SchemaTree>;
  /** Rows [start, end) of some columns. Byte arrays stay bytes, also where the file says that they are text. */
  read(columns: readonly string[], start: number, end: number): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/**
 * Opens a Parquet file: reads its footer, and nothing else. What is read at a time may inflate to `inflatedBytes`, or to eight
 * times what the file holds.
 */
export async function openParquet(source: RandomAccess, inflatedBytes = mostInflated): Promise<ParquetFile> {
  const name = source.name ?? 'parquet';
  const file = {
    byteLength: source.size,
    async slice(start: number, end = source.size): Promise<ArrayBuffer> {
      const bytes = await source.read(start, end - start);
      if (bytes.length !== end - start) throw new FormatError(`the file ends before byte ${end}`);
      return bytes.slice().buffer;
    },
  };
  const metadata: FileMetaData = await parquetMetadataAsync(file).catch(async (cause: Error) => {
    refuseSubstitute(await source.read(0, Math.min(source.size, 1024)), name);
    throw new FormatError(`${name}: this is no Parquet file, or it is cut short: ${cause.message}`, { cause });
  });
  const tooMany = metadata.row_groups.find(({ num_rows }) => num_rows < 0n || num_rows > mostRows);
  if (tooMany !== undefined)
    throw new FormatError(`${name}: a row group of ${tooMany.num_rows} rows cannot be read, the most is ${mostRows}`);
  const groupStarts = [0];
  for (const { num_rows } of metadata.row_groups) groupStarts.push((groupStarts.at(-1) as number) + Number(num_rows));
  return {
    name,
    rows: groupStarts.at(-1) as number,
    groupStarts,
    columns: new Map(parquetSchema(metadata).children.map((column) => [column.element.name, column])),
    async read(columns, rowStart, rowEnd) {
      try {
        return await parquetReadObjects({
          file,
          metadata,
          columns: [...columns],
          rowStart,
          rowEnd,
          compressors: boundedCompressors(Math.max(inflatedBytes, 8 * source.size)),
          utf8: false,
          // What is said to be text is decoded strictly where it is used.
          parsers: { stringFromBytes: (bytes) => bytes },
        });
      } catch (cause) {
        const rows = `rows ${rowStart} to ${rowEnd - 1}`;
        throw new FormatError(`${name}: cannot read ${columns.join(', ')} of ${rows}: ${(cause as Error).message}`, {
          cause,
        });
      }
    },
  };
}

/** Refuses a file in which columns are missing or of another type; all that is wrong is in one message. */
export function checkColumns(file: ParquetFile, expected: Readonly<Record<string, ColumnType>>): void {
  const problems = Object.entries(expected).flatMap(([column, type]) => {
    const found = file.columns.get(column);
    if (found === undefined) return [`the column ${column} (${type}) is missing`];
    return columnTypes[type](found)
      ? []
      : [`the column ${column} must be ${type}, but is ${found.element.type ?? 'a list or structure'}`];
  });
  if (problems.length === 0) return;
  throw new FormatError(`${file.name}: ${problems.join('; ')} (its columns: ${[...file.columns.keys()].join(', ')})`);
}
