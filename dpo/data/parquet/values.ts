import { FormatError } from '../../../tensor/index.ts';
import type { Row } from './groupCache.ts';

/** Bytes of a row. */
export function bytesOf(row: Row, column: string, place: string): Uint8Array {
  const value = row[column];
  if (value instanceof Uint8Array) return value;
  throw new FormatError(`${place}: ${column} is ${value === null || value === undefined ? 'empty' : 'not binary'}`);
}

/** Text of a row. */
export function textOf(row: Row, column: string, place: string): string {
  const value = row[column];
  if (typeof value === 'string') return value;
  const bytes = bytesOf(row, column, place);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${place}: ${column} is not valid UTF-8`, { cause });
  }
}
