import type { DType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';

/** Bits per element. The order is the format's ranking of dtypes: files list the last ones first. */
const bits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** A dtype as safetensors files name it. */
export type StoredDType = keyof typeof bits;

/** All dtypes of the format, in its ranking. */
export const storedDtypes = Object.keys(bits) as readonly StoredDType[];

/** True for the name of a dtype of the format. */
export const isStoredDType = (value: unknown): value is StoredDType =>
  typeof value === 'string' && Object.hasOwn(bits, value);

/** Bits per element. */
export const bitSize: Readonly<Record<StoredDType, number>> = bits;

/** The stored dtype with the memory layout of each dtype. */
const natural = {
  f64: 'F64',
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i32: 'I32',
  u32: 'U32',
  bool: 'BOOL',
} as const satisfies Record<DType, StoredDType>;

const remembered = new WeakMap<Tensor, StoredDType>();

/** Records the dtype that a tensor had in the file it was read from. */
export const rememberStoredDtype = (tensor: Tensor, dtype: StoredDType): void => {
  remembered.set(tensor, dtype);
};

/**
 * The default dtype of `tensor` in a file: the stored dtype of a tensor read from a file (an `i32` tensor may come from
 * `I64`, a `u32` tensor from `U8`), else the dtype of the same name. Results of operators do not come from a file.
 */
export const storedDtype = (tensor: Tensor): StoredDType => remembered.get(tensor) ?? natural[tensor.dtype];

/** The bytes of `tensor` in a file, written with its default dtype. */
export const storedByteLength = (tensor: Tensor): number => (tensor.size * bitSize[storedDtype(tensor)]) / 8;
