import type { Device } from '../device.ts';
import { allocate, type DType, type StorageArray } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import { leaf } from '../placement.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { bytesOf, codecFor } from './codec.ts';
import { readHeader, type TensorEntry } from './header.ts';
import { quote } from './message.ts';
import { type ByteSink, nameOf, type RandomAccess, readExactly, whereIs } from './source.ts';
import { bitSize, rememberStoredDtype } from './storedDtype.ts';
import { suggestion } from './suggest.ts';

/** Reads tensors onto a device through one buffer, so that the host holds no copies until a garbage collection. */
export interface Through {
  readonly device: Device;
  /** At least as large as the tensor in memory. The next read may use it again. */
  readonly scratch: ArrayBuffer;
}

/** The tensors of one file or of several shards, each read when it is asked for. */
export interface SafetensorsReader extends AsyncDisposable {
  readonly name: string;
  readonly names: readonly string[];
  readonly metadata: ReadonlyMap<string, unknown>;
  /** The stored dtype, shape and position of a tensor. Reads no data. @throws FormatError if there is no such tensor */
  entry(name: string): Promise<TensorEntry>;
  /**
   * Reads one tensor: F64, F32, F16, BF16, I32, U32 and BOOL as the dtype of that name, I64 as `i32`, U8 as `u32`.
   * @throws FormatError if there is no such tensor (with the nearest names), for any other dtype, for a value of an I64
   * tensor that does not fit `i32`, and for a BOOL other than 0 and 1
   */
  read(name: string, through?: Through): Promise<Tensor>;
  /** Reads all tensors, by name. */
  readAll(): Promise<Map<string, Tensor>>;
  /** Closes the file. Tensors that were read stay usable. */
  close(): Promise<void>;
}

/** A single file with its header. */
export interface SafetensorsFile extends SafetensorsReader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * Tensors that lie in this file under other names, in other shapes, or as parts of its tensors: where each begins, by name. Closing
   * the view closes the file.
   */
  view(entries: ReadonlyMap<string, TensorEntry>): SafetensorsReader;
  /** Writes the bytes of a tensor, as they are in the file, to a sink, piece by piece. @throws FormatError if there is no such tensor */
  copy(name: string, sink: ByteSink): Promise<void>;
}

/** The bytes per read of a tensor, so that memory holds a tensor and a piece of it, not two copies. */
const largestPiece = 2 ** 23;

/**
 * Opens one safetensors file: reads and checks its header, and no data. Closing it closes `source`.
 * @throws FormatError for an invalid header
 */
export async function openSafetensors(source: RandomAccess): Promise<SafetensorsFile> {
  const { entries, metadata } = await readHeader(source);
  return readerOf(source, entries, metadata);
}

/** The tensors of a source, whose places are known. */
function readerOf(
  source: RandomAccess,
  entries: ReadonlyMap<string, TensorEntry>,
  metadata: ReadonlyMap<string, string>,
): SafetensorsFile {
  const file = nameOf(source);
  const names = [...entries.keys()];

  async function entry(name: string): Promise<TensorEntry> {
    const found = entries.get(name);
    if (found === undefined) throw noSuchTensor(file, name, names);
    return found;
  }

  async function read(name: string, through?: Through): Promise<Tensor> {
    const { dtype, shape, offset } = await entry(name);
    const where = whereIs(file, name);
    const codec = codecFor(dtype, where);
    const size = sizeOf(shape);
    // All dtypes with a codec take whole bytes.
    const elementBytes = bitSize[dtype] / 8;
    const piece = largestPiece / elementBytes;
    const storage = through === undefined ? allocate(codec.dtype, size) : within(through.scratch, codec.dtype, size);
    for (let first = 0; first < size; first += piece) {
      const length = Math.min(piece, size - first) * elementBytes;
      const begin = first * elementBytes;
      const into = codec.isSame ? bytesOf(storage).subarray(begin, begin + length) : undefined;
      const bytes = await readExactly(source, offset + begin, length, `tensor ${quote(name)}`, into);
      if (bytes.buffer !== storage.buffer) codec.decode(bytes, storage, first, where);
    }
    const tensor = leaf(shape, codec.dtype, storage, through?.device);
    rememberStoredDtype(tensor, dtype);
    return tensor;
  }

  async function copy(name: string, sink: ByteSink): Promise<void> {
    const { offset, byteLength } = await entry(name);
    for (let first = 0; first < byteLength; first += largestPiece) {
      const length = Math.min(largestPiece, byteLength - first);
      await sink.write(await readExactly(source, offset + first, length, `tensor ${quote(name)}`));
    }
  }

  const close = async () => source.close?.();
  const view = (others: ReadonlyMap<string, TensorEntry>) => readerOf(source, others, metadata);
  return {
    name: file,
    names,
    entries,
    metadata,
    entry,
    read,
    copy,
    close,
    view,
    ...derivedMethods(names, read, close),
  };
}

/** A storage array at the beginning of a buffer. */
function within(buffer: ArrayBuffer, dtype: DType, size: number): StorageArray {
  const { constructor } = allocate(dtype, 0);
  return new (constructor as new (buffer: ArrayBuffer, offset: number, length: number) => StorageArray)(
    buffer,
    0,
    size,
  );
}

/** The methods that all readers share. */
export const derivedMethods = (
  names: readonly string[],
  read: (name: string) => Promise<Tensor>,
  close: () => Promise<void>,
): Pick<SafetensorsReader, 'readAll' | typeof Symbol.asyncDispose> => ({
  async readAll() {
    const tensors = new Map<string, Tensor>();
    for (const name of names) tensors.set(name, await read(name));
    return tensors;
  },
  [Symbol.asyncDispose]: close,
});

/** The error for a name that a file lacks, with the nearest names. */
export const noSuchTensor = (file: string, name: string, names: readonly string[]): FormatError =>
  new FormatError(`${whereIs(file, name)} is not there, among ${names.length} tensors${suggestion(name, names)}`);
