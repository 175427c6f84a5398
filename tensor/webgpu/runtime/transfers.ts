import { allocate, byteSize, type DType, isHalf, type StorageArray } from '../../dtype.ts';

/** Bytes that so many elements take on the device: whole words, two halves in each, a truth value in one. */
export const deviceBytes = (dtype: DType, size: number): number =>
  isHalf(dtype) ? 4 * Math.ceil(size / 2) : dtype === 'bool' ? 4 * size : byteSize[dtype] * size;

/** Storage as the bytes that the device holds. */
export function toDevice(dtype: DType, storage: StorageArray): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(storage.buffer as ArrayBuffer, storage.byteOffset, storage.byteLength);
  if (dtype === 'bool') return new Uint8Array(Uint32Array.from(storage).buffer);
  if (bytes.length % 4 === 0 && storage.buffer instanceof ArrayBuffer) return bytes;
  const padded = new Uint8Array(deviceBytes(dtype, storage.length));
  padded.set(bytes);
  return padded;
}

/** The first `size` elements of what the device holds, as storage. */
export function fromDevice(dtype: DType, size: number, bytes: ArrayBuffer): StorageArray {
  const storage = allocate(dtype, size);
  if (dtype === 'bool') storage.set(new Uint32Array(bytes, 0, size));
  else new Uint8Array(storage.buffer).set(new Uint8Array(bytes, 0, storage.byteLength));
  return storage;
}
