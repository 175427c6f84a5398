import { FormatError } from '../errors.ts';
import { leaf } from '../placement.ts';
import type { Tensor } from '../tensor.ts';
import { codecFor } from './codec.ts';
import { readHeader, type TensorEntry } from './header.ts';
import { quote } from './message.ts';
import { nameOf, type RandomAccess, readExactly, whereIs } from './source.ts';
import { rememberStoredDtype } from './storedDtype.ts';
import { suggestion } from './suggest.ts';

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
  read(name: string): Promise<Tensor>;
  readAll(): Promise<Map<string, Tensor>>;
  /** Gives the file back. Tensors that were read stay. */
  close(): Promise<void>;
}

/** A single file, whose header has been read. */
export interface SafetensorsFile extends SafetensorsReader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

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

  async function read(name: string): Promise<Tensor> {
    const { dtype, shape, offset, byteLength } = await entry(name);
    const where = whereIs(file, name);
    const codec = codecFor(dtype, where);
    const bytes = await readExactly(source, offset, byteLength, `tensor ${quote(name)}`);
    const tensor = leaf(shape, codec.dtype, codec.decode(bytes, where));
    rememberStoredDtype(tensor, dtype);
    return tensor;
  }

  const close = async () => source.close?.();
  return { name: file, names, entries, metadata, entry, read, close, ...derivedMethods(names, read, close) };
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
