import { decodeUtf8, FormatError, quote } from '../../../tensor/index.ts';
import type { Row } from './groupCache.ts';

function bytesOf(value: unknown, what: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new FormatError(`${what} is ${value === null || value === undefined ? 'empty' : 'not binary'}`);
}

/**
 * The bytes of an image file in a cell of bytes, or in a struct {bytes, path}.
 * @throws FormatError for a cell without bytes
 */
export function imageOf(row: Row, column: string, place: string): Uint8Array {
  const value = row[column];
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array)
    return bytesOf(value, `${place}: ${column}`);
  const { bytes, path } = value as { readonly bytes?: unknown; readonly path?: unknown };
  if ((bytes ?? undefined) === undefined && (path ?? undefined) !== undefined)
    throw new FormatError(
      `${place}: ${column} names the file ${quote(path instanceof Uint8Array ? new TextDecoder().decode(path) : String(path))} but holds no bytes; write the data set with the images in it`,
    );
  return bytesOf(bytes, `${place}: ${column}.bytes`);
}

/**
 * The text of a cell.
 * @throws FormatError where it is not UTF-8
 */
export const textOf = (row: Row, column: string, place: string): string =>
  decodeUtf8(bytesOf(row[column], `${place}: ${column}`), `${place}: ${column}`);

/** The text of a cell; undefined for an empty cell or a missing column. */
export const optionalTextOf = (row: Row, column: string, place: string): string | undefined =>
  row[column] instanceof Uint8Array ? textOf(row, column, place) : undefined;
