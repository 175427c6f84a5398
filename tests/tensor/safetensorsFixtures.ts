import type { DType, StorageArray } from '../../tensor/dtype.ts';
import { readStorage } from '../../tensor/evaluate.ts';
import { leaf } from '../../tensor/placement.ts';
import { fromBytes, openSafetensors, type RandomAccess } from '../../tensor/safetensors/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** The bytes of a file with this header, valid or not, and this data. */
export function fileOf(header: string | Uint8Array, data: ArrayLike<number> = [], length?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** A header entry; `[begin, end)` are the data offsets. */
export const entry = (dtype: string, shape: readonly number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

/** Bytes written as hexadecimal digits. */
export const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));

export const open = (bytes: Uint8Array, name = 'model.safetensors') => openSafetensors(fromBytes(bytes, name));

/** Reads the whole content of a file. */
export const readWhole = async (bytes: Uint8Array): Promise<Map<string, Tensor>> => (await open(bytes)).readAll();

export const make = (dtype: DType, storage: StorageArray, shape: readonly number[] = [storage.length]): Tensor =>
  leaf(shape, dtype, storage);

export const f32 = (...values: number[]): Tensor => make('f32', Float32Array.from(values));

/** The elements of a tensor as bytes. */
export async function bytesOf(tensor: Tensor): Promise<Uint8Array> {
  const storage = await readStorage(tensor);
  return new Uint8Array(storage.buffer, storage.byteOffset, storage.byteLength);
}

/** Records which ranges are read. */
export function counting(bytes: Uint8Array): { source: RandomAccess; reads: [offset: number, length: number][] } {
  const inner = fromBytes(bytes, 'counted');
  const reads: [number, number][] = [];
  const read = (offset: number, length: number) => {
    reads.push([offset, length]);
    return inner.read(offset, length);
  };
  return { source: { ...inner, read }, reads };
}
