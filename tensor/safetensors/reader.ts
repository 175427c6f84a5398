import type { Device } from '../device.ts';
import { allocate, type DType, type StorageArray } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import { leaf } from '../placement.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { bytesOf, codecFor } from './codec.ts';
import { readHeader, type TensorEntry } from './header.ts';
import { quote } from './message.ts';
import { nameOf, type RandomAccess, readExactly, whereIs } from './source.ts';
import { bitSize, rememberStoredDtype } from './storedDtype.ts';
import { suggestion } from './suggest.ts';

/** Reading right onto a device, where the host should not keep what it read until a garbage collection. */
export interface Through {
  readonly device: Device;
  /** At least as large as the tensor in memory. It can be used again as soon as the tensor has been read. */
  readonly scratch: ArrayBuffer;
}

/** Tensors in one file or in several shards, read one by one as they are asked for. */
export interface SafetensorsReader extends AsyncDisposable {
  readonly name: string;
  readonly names: readonly string[];
  readonly metadata: ReadonlyMap<string, unknown>;
  /** What the file says of a tensor: its stored dtype, shape and place. Reads no data. */
  entry(name: string): Promise<TensorEntry>;
  /**
   * Reads one tensor: F64, F32, F16, BF16, I32, U32 and BOOL as the dtype of that name, I64 as `i32`, U8 as `u32`.
   * @throws FormatError if there is no such tensor (with the nearest names), its dtype is another, a value of an I64
   * tensor does not fit `i32`, or a BOOL is not 0 or 1.
   */
  read(name: string, through?: Through): Promise<Tensor>;
  readAll(): Promise<Map<string, Tensor>>;
  /** Gives the file back. Tensors that were read stay. */
  close(): Promise<void>;
}

/** A single file, whose header has been read. */
export interface SafetensorsFile extends SafetensorsReader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Tensors are read in pieces of so many bytes: memory holds a tensor and a piece, not two of each tensor. */
const largestPiece = 2 ** 23;

/** Opens one safetensors file: reads and checks its header, and no data. Closing it closes `source`. */
export async function openSafetensors(source: RandomAccess): Promise<SafetensorsFile> {
  const file = nameOf(source);
  const { entries, metadata } = await readHeader(source);
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
    // A dtype that has a codec takes whole bytes.
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

  const close = async () => source.close?.();
  return { name: file, names, entries, metadata, entry, read, close, ...derivedMethods(names, read, close) };
}

/** Storage that lies at the beginning of a buffer. */
function within(buffer: ArrayBuffer, dtype: DType, size: number): StorageArray {
  const { constructor } = allocate(dtype, 0);
  return new (constructor as new (buffer: ArrayBuffer, offset: number, length: number) => StorageArray)(
    buffer,
    0,
    size,
  );
}

/** What every reader does alike. */
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

export const noSuchTensor = (file: string, name: string, names: readonly string[]): FormatError =>
  new FormatError(`${whereIs(file, name)} is not there, among ${names.length} tensors${suggestion(name, names)}`);
