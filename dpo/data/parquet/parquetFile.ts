import { type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema, type SchemaTree } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { FormatError, type RandomAccess, refuseSubstitute } from '../../../tensor/index.ts';

const isOf =
  (...types: readonly string[]) =>
  ({ element }: SchemaTree): boolean =>
    types.includes(element.type ?? '');
const isBytes = isOf('BYTE_ARRAY');

/** Tests whether a Parquet column can hold what is needed of it. */
const columnTypes = {
  /** Bytes, or a struct {bytes, path} as Hugging Face's `datasets` writes images. */
  image: (column: SchemaTree) =>
    isBytes(column) || column.children.some((child) => child.element.name === 'bytes' && isBytes(child)),
  text: isBytes,
  /** Numbers, or booleans, which count as 1 and 0. */
  label: isOf('DOUBLE', 'FLOAT', 'INT32', 'INT64', 'BOOLEAN'),
} as const;

/** The content that a column must have. */
export type ColumnType = keyof typeof columnTypes;

/** Limit on the rows of a row group; writers default to a million at most. */
const maxRows = 2 ** 24;

/** Limit on the decompressed bytes of one read. Image files hardly compress, so far more is an attempt to exhaust memory. */
const maxInflated = 2 ** 29;

/** Decompressors that throw beyond `limit` output bytes in all. */
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
  /** The first row of each row group, followed by the number of rows. */
  readonly groupStarts: readonly number[];
  /** Schemas of the columns by name. */
  readonly columns: ReadonlyMap<string, SchemaTree>;
  /** Reads rows [start, end) of some columns. Byte arrays stay bytes, even where the file declares them text. */
  read(columns: readonly string[], start: number, end: number): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/**
 * Opens a Parquet file by reading its footer. One read may decompress to `inflatedBytes`, or eight times the file's size if that
 * is more.
 * @throws FormatError where it is not a Parquet file
 */
export async function openParquet(source: RandomAccess, inflatedBytes = maxInflated): Promise<ParquetFile> {
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
  const tooMany = metadata.row_groups.find(({ num_rows }) => num_rows < 0n || num_rows > maxRows);
  if (tooMany !== undefined)
    throw new FormatError(`${name}: a row group of ${tooMany.num_rows} rows cannot be read, the most is ${maxRows}`);
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
          // Text is decoded where it is used, strictly.
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

/** @throws FormatError that lists all columns that are missing or of the wrong type */
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
