import { decodeUtf8, FormatError } from '../../../tensor/index.ts';
import type { Row } from './groupCache.ts';

/** Bytes of a row. */
export function bytesOf(row: Row, column: string, place: string): Uint8Array {
  const value = row[column];
  if (value instanceof Uint8Array) return value;
  throw new FormatError(`${place}: ${column} is ${value === null || value === undefined ? 'empty' : 'not binary'}`);
}

/** Text of a row, which must be UTF-8. */
export const textOf = (row: Row, column: string, place: string): string =>
  decodeUtf8(bytesOf(row, column, place), `${place}: ${column}`);

/** Text of a row, if it has any under this name. */
export const optionalTextOf = (row: Row, column: string, place: string): string | undefined =>
  row[column] instanceof Uint8Array ? textOf(row, column, place) : undefined;
