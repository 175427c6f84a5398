import { FormatError } from '../errors.ts';
import { quote } from './message.ts';

/** Random access to bytes: a file, a blob, bytes in memory, a server that answers range requests. */
export interface RandomAccess {
  /** The name in messages, such as a file name. */
  readonly name?: string;
  readonly size: number;
  /**
   * Reads `length` bytes from `offset`; fewer only if the source has become shorter than `size`. May read into `into`,
   * which has this length, instead of new memory.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  close?(): Promise<void>;
}

/** The destination of a file, piece by piece and in order. `write` must not change a piece, nor keep it when it is done. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** The name of a source in messages. */
export const nameOf = (source: RandomAccess): string => source.name ?? 'safetensors';

/** The name of a tensor and its file in messages. */
export const whereIs = (file: string, tensor: string): string => `${file}: tensor ${quote(tensor)}`;

/** Reads from bytes in memory, which must not change. */
export const fromBytes = (bytes: Uint8Array, name?: string): RandomAccess => ({
  ...(name === undefined ? {} : { name }),
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
});

/** Reads from a blob, such as a file that a user chose in a browser. A `File` gives its name. */
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

/** Reads `length` bytes or throws; `what` names them in the message. */
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
