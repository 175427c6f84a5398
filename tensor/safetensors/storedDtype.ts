import type { DType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';

/** Bits that an element takes. The order is the format's ranking of dtypes: files list the last ones first. */
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

export const storedDtypes = Object.keys(bits) as readonly StoredDType[];

export const isStoredDType = (value: unknown): value is StoredDType =>
  typeof value === 'string' && Object.hasOwn(bits, value);

export const bitSize: Readonly<Record<StoredDType, number>> = bits;

/** The stored dtype with the layout that a dtype has in memory. */
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
 * The dtype that `tensor` is written as unless the writer is told otherwise: the one it had in the file it was read
 * from (an `i32` tensor may come from `I64`, a `u32` tensor from `U8`), or else the one of the same name. Results of
 * operators are new tensors, which come from no file.
 */
export const storedDtype = (tensor: Tensor): StoredDType => remembered.get(tensor) ?? natural[tensor.dtype];

/** The bytes that `tensor` takes in a file, unless the writer is told another dtype. */
export const storedByteLength = (tensor: Tensor): number => (tensor.size * bitSize[storedDtype(tensor)]) / 8;
