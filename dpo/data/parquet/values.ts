import { decodeUtf8, FormatError, quote } from '../../../tensor/index.ts';
import type { Row } from './groupCache.ts';

function bytesOf(value: unknown, what: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new FormatError(`${what} is ${value === null || value === undefined ? 'empty' : 'not binary'}`);
}

/** The bytes of an image: those of a cell, or those within a structure {bytes, path}. */
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

/** Text of a row, which must be UTF-8. */
export const textOf = (row: Row, column: string, place: string): string =>
  decodeUtf8(bytesOf(row[column], `${place}: ${column}`), `${place}: ${column}`);

/** Text of a row, if it has any under this name. */
export const optionalTextOf = (row: Row, column: string, place: string): string | undefined =>
  row[column] instanceof Uint8Array ? textOf(row, column, place) : undefined;
