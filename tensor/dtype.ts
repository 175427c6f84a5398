import { TensorError } from './errors.ts';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from './half.ts';

/**
 * Element types. `f16` and `bf16` are storage types: operators widen them to f32, compute, and round once.
 * WebGPU has no `f64`.
 */
export type DType = 'f64' | 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'bool';
/** The floating-point dtypes: those that have gradients. */
export type FloatDType = 'f64' | 'f32' | 'f16' | 'bf16';

/** All dtypes, widest float first. */
export const dtypes: readonly DType[] = ['f64', 'f32', 'f16', 'bf16', 'i32', 'u32', 'bool'];

/** The arrays that hold elements in memory: `f16` and `bf16` as their bits, `bool` as 0 or 1. */
export type StorageArray = Float64Array | Float32Array | Uint16Array | Int32Array | Uint32Array | Uint8Array;

/** The arrays that `read` returns: `f16` and `bf16` as their exact f32 values, `bool` as 0 or 1. */
export type ValueArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Bytes per element. */
export const byteSize: Readonly<Record<DType, number>> = { f64: 8, f32: 4, f16: 2, bf16: 2, i32: 4, u32: 4, bool: 1 };

/** True for f64, f32, f16 and bf16. */
export const isFloat = (dtype: DType): dtype is FloatDType =>
  dtype === 'f64' || dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

/** True for f16 and bf16. */
export const isHalf = (dtype: DType): dtype is 'f16' | 'bf16' => dtype === 'f16' || dtype === 'bf16';

/** True for i32 and u32. */
export const isInteger = (dtype: DType): dtype is 'i32' | 'u32' => dtype === 'i32' || dtype === 'u32';

/** A new storage array of `length` zeros. */
export function allocate(dtype: DType, length: number): StorageArray {
  switch (dtype) {
    case 'f64':
      return new Float64Array(length);
    case 'f32':
      return new Float32Array(length);
    case 'f16':
    case 'bf16':
      return new Uint16Array(length);
    case 'i32':
      return new Int32Array(length);
    case 'u32':
      return new Uint32Array(length);
    case 'bool':
      return new Uint8Array(length);
  }
}

/** The default dtype of a typed array; `undefined` for kinds that have none, such as Uint16Array. */
export function dtypeOfArray(array: ArrayBufferView): DType | undefined {
  if (array instanceof Float64Array) return 'f64';
  if (array instanceof Float32Array) return 'f32';
  if (array instanceof Int32Array) return 'i32';
  if (array instanceof Uint32Array) return 'u32';
  if (array instanceof Uint8Array) return 'bool';
  return undefined;
}

/** True if tensors of `dtype` store their elements in arrays of this kind. */
export const isStorageOf = (dtype: DType, array: ArrayBufferView): array is StorageArray =>
  array.constructor === allocate(dtype, 0).constructor;

/**
 * Converts a number to `dtype`, as `cast` does: float dtypes round to nearest even; integer dtypes truncate toward zero
 * and saturate, and NaN becomes 0; bool is 1 for every number but 0.
 */
export function roundTo(dtype: DType, value: number): number {
  switch (dtype) {
    case 'f64':
      return value;
    case 'f32':
      return Math.fround(value);
    case 'f16':
      return float16ToNumber(numberToFloat16(value));
    case 'bf16':
      return bfloat16ToNumber(numberToBfloat16(value));
    case 'i32':
      return Math.min(Math.max(Math.trunc(value), -2147483648), 2147483647) || 0;
    case 'u32':
      return Math.min(Math.max(Math.trunc(value), 0), 4294967295) || 0;
    case 'bool':
      return value !== 0 ? 1 : 0;
  }
}

/** The values in a storage array: the same array, or for halves a new one with the bits expanded to f32. */
export function toValues(dtype: DType, storage: StorageArray): ValueArray {
  if (!isHalf(dtype)) return storage as ValueArray;
  const expand = dtype === 'f16' ? float16ToNumber : bfloat16ToNumber;
  const values = new Float32Array(storage.length);
  for (let i = 0; i < values.length; i++) values[i] = expand(storage[i] as number);
  return values;
}

/** A new storage array with each number converted by `roundTo`. */
export function toStorage(dtype: DType, values: ArrayLike<number>): StorageArray {
  const storage = allocate(dtype, values.length);
  if (dtype === 'f64' || dtype === 'f32') {
    storage.set(values);
    return storage;
  }
  const round =
    dtype === 'f16' ? numberToFloat16 : dtype === 'bf16' ? numberToBfloat16 : (value: number) => roundTo(dtype, value);
  for (let i = 0; i < storage.length; i++) storage[i] = round(values[i] as number);
  return storage;
}

/** Returns a JavaScript number or boolean as an element of `dtype`; throws for fractions and numbers out of its range. */
export function checkScalar(operator: string, dtype: DType, value: number | boolean): number {
  const number = Number(value);
  const fits =
    isFloat(dtype) ||
    (dtype === 'bool' && (number === 0 || number === 1)) ||
    (dtype === 'i32' && Number.isInteger(number) && number >= -2147483648 && number <= 2147483647) ||
    (dtype === 'u32' && Number.isInteger(number) && number >= 0 && number <= 4294967295);
  if (!fits) {
    throw new TensorError(
      `${operator}: ${String(value)} is not a value of ${dtype}; cast the tensor first (for example \`cast(x, 'f32')\`)`,
    );
  }
  return number;
}
