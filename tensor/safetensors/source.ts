import { FormatError } from '../errors.ts';
import { quote } from './message.ts';

/** Bytes of which any part can be read: a file, a blob, bytes in memory, a server that answers range requests. */
export interface RandomAccess {
  /** What messages call it, such as a file name. */
  readonly name?: string;
  readonly size: number;
  /**
   * `length` bytes from `offset`; fewer only if the source has become shorter than `size`. They may be put into `into`,
   * which is as long, instead of into new memory.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  close?(): Promise<void>;
}

export const nameOf = (source: RandomAccess): string => source.name ?? 'safetensors';

/** How messages name a tensor of a file. */
export const whereIs = (file: string, tensor: string): string => `${file}: tensor ${quote(tensor)}`;

/** Reads from bytes in memory, which must not change meanwhile. */
export const fromBytes = (bytes: Uint8Array, name?: string): RandomAccess => ({
  ...(name === undefined ? {} : { name }),
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
});

/** Reads from a blob, such as a file that the user chose in a browser; its name is known if it is a `File`. */
export function fromBlob(blob: Blob): RandomAccess {
  const name = 'name' in blob && typeof blob.name === 'string' ? blob.name : undefined;
  return {
    ...(name === undefined ? {} : { name }),
    size: blob.size,
    async read(offset, length) {
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        const range = `${length} bytes from offset ${offset}`;
        throw new FormatError(
          `${name ?? 'blob'}: could not read ${range}; has the file been changed or removed since it was chosen?`,
          { cause },
        );
      }
    },
  };
}

/** Reads `length` bytes or throws; `what` is what messages call them. */
export async function readExactly(
  source: RandomAccess,
  offset: number,
  length: number,
  what: string,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const bytes = await source.read(offset, length, into);
  if (bytes.length !== length) {
    throw new FormatError(
      `${nameOf(source)}: ${what} takes ${length} bytes from offset ${offset}, but only ${bytes.length} could be read; ` +
        'was the file cut short after it was opened?',
    );
  }
  return bytes;
}
