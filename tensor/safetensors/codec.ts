import { byteSize, type DType, type StorageArray } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import type { StoredDType } from './storedDtype.ts';

/** Converts elements between a file and memory. `where` names the file and the tensor in messages. */
interface Codec {
  readonly dtype: DType;
  /** True if a file and memory hold the same bytes, so that a file can be read right into the storage. */
  readonly isSame: boolean;
  /** Decodes `bytes` into `storage` from element `first` on; shares no memory with `bytes`. */
  decode(bytes: Uint8Array, storage: StorageArray, first: number, where: string): void;
  /** May share memory with `storage`. */
  encode(storage: StorageArray, where: string): Uint8Array;
}

if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) {
  throw new FormatError('safetensors files are little-endian, and this machine is not: it is not supported');
}

/** The bytes of a typed array, in the same memory. */
export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Keeps the bytes, so that every bit pattern survives. */
const same = (dtype: DType): Codec => ({
  dtype,
  isSame: true,
  decode: (bytes, storage, first) => bytesOf(storage).set(bytes, first * byteSize[dtype]),
  encode: bytesOf,
});

const bool: Codec = {
  ...same('bool'),
  isSame: false,
  decode(bytes, storage, first, where) {
    const wrong = bytes.findIndex((byte) => byte > 1);
    if (wrong >= 0) {
      throw new FormatError(`${where}: element ${first + wrong} is ${bytes[wrong]}, but a BOOL element is 0 or 1`);
    }
    storage.set(bytes, first);
  },
};

/** PyTorch writes indices and step counts as I64; here they are `i32`. */
const i64: Codec = {
  dtype: 'i32',
  isSame: false,
  decode(bytes, storage, first, where) {
    const words = new Int32Array(bytes.length / 4);
    bytesOf(words).set(bytes);
    for (let i = 0; i < words.length / 2; i++) {
      const low = words[2 * i] as number;
      const high = words[2 * i + 1] as number;
      if (high !== low >> 31) {
        const value = (BigInt(high) << 32n) | BigInt(low >>> 0);
        throw new FormatError(
          `${where}: element ${first + i} is ${value}; I64 is read as i32, which goes from -2147483648 to 2147483647`,
        );
      }
      storage[first + i] = low;
    }
  },
  encode(storage) {
    const words = new Int32Array(storage.length * 2);
    for (let i = 0; i < storage.length; i++) {
      const value = storage[i] as number;
      words[2 * i] = value;
      words[2 * i + 1] = value >> 31;
    }
    return bytesOf(words);
  },
};

const u8: Codec = {
  dtype: 'u32',
  isSame: false,
  decode: (bytes, storage, first) => storage.set(bytes, first),
  encode(storage, where) {
    const wrong = storage.findIndex((value) => value > 255);
    if (wrong >= 0) {
      throw new FormatError(`${where}: element ${wrong} is ${storage[wrong]}, which does not fit U8; write it as U32`);
    }
    return Uint8Array.from(storage);
  },
};

const codecs: ReadonlyMap<StoredDType, Codec> = new Map<StoredDType, Codec>([
  ['BOOL', bool],
  ['U8', u8],
  ['F16', same('f16')],
  ['BF16', same('bf16')],
  ['I32', same('i32')],
  ['U32', same('u32')],
  ['F32', same('f32')],
  ['F64', same('f64')],
  ['I64', i64],
]);

/** The codec for a stored dtype; throws for dtypes without a counterpart here. */
export function codecFor(dtype: StoredDType, where: string): Codec {
  const codec = codecs.get(dtype);
  if (codec === undefined) {
    const supported = [...codecs.keys()].join(', ');
    throw new FormatError(`${where}: the dtype ${dtype} is not supported; the supported dtypes are ${supported}`);
  }
  return codec;
}
