import type { Device } from './device.ts';
import { checkScalar, type DType, dtypeOfArray, isHalf, isStorageOf, toStorage } from './dtype.ts';
import { ShapeError, TensorError } from './errors.ts';
import { add, equal, mul } from './ops/elementwise.ts';
import { cast, constant, iota } from './ops/operands.ts';
import { leaf } from './placement.ts';
import { checkShape, formatShape, type Shape, sizeOf } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** Numbers or booleans in nested arrays; all arrays of a level have the same length. */
export type Nested = number | boolean | readonly Nested[];

/** The typed arrays that `tensor` takes elements from. */
export type TypedArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array | Uint16Array;

/** Options of `tensor`. */
export interface TensorOptions {
  /** Default: the nesting of nested arrays; one dimension for a typed array. */
  readonly shape?: Shape;
  /** Default: the element type of a typed array (bool for a Uint8Array); f32 for numbers, bool for booleans. */
  readonly dtype?: DType;
  /** Uploads the elements at once. Default: they stay on the host until a graph that uses them runs. */
  readonly device?: Device;
}

/** The dtype of a tensor to be made. */
export interface DTypeOption {
  /** Default f32. */
  readonly dtype?: DType;
}

/**
 * A tensor with a copy of the given elements (PyTorch's `tensor`). Float dtypes round; a Uint16Array with dtype f16 or
 * bf16 holds their bits.
 * @throws ShapeError for ragged arrays and where the elements do not fill the shape; TensorError for a value outside an
 * integer or bool dtype and for a typed array whose dtype must be given
 */
export function tensor(data: Nested | TypedArray, options: TensorOptions = {}): Tensor {
  const {
    values,
    shape: nesting,
    dtype: inferred,
  } = ArrayBuffer.isView(data) ? { values: data, shape: [data.length], dtype: dtypeOfArray(data) } : fromNested(data);
  const dtype = options.dtype ?? inferred;
  if (dtype === undefined) {
    throw new TensorError(
      `tensor: a ${data.constructor.name} does not say which dtype it holds; give one, for example { dtype: 'bf16' }`,
    );
  }
  const shape = checkShape('tensor', options.shape ?? nesting);
  if (sizeOf(shape) !== values.length) {
    throw new ShapeError(
      `tensor: ${values.length} elements do not fill the shape ${formatShape(shape)}, which has ${sizeOf(shape)}`,
    );
  }
  const asBits = ArrayBuffer.isView(values) && isStorageOf(dtype, values) && dtype !== 'bool';
  if (!asBits) for (const value of values) checkScalar('tensor', dtype, value);
  const storage = asBits ? (values.slice() as ReturnType<typeof toStorage>) : toStorage(dtype, values);
  return leaf(shape, dtype, storage, options.device);
}

function fromNested(data: Nested): { values: number[]; shape: number[]; dtype: DType } {
  const shape: number[] = [];
  for (let level = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  const values: number[] = [];
  let truths = 0;
  const collect = (item: Nested, depth: number): void => {
    if (Array.isArray(item)) {
      if (item.length !== shape[depth]) {
        throw new ShapeError(
          `tensor: nested arrays are ragged: one at level ${depth} has ${item.length} entries, the first has ${shape[depth] ?? 'none'}`,
        );
      }
      for (const child of item) collect(child, depth + 1);
    } else if ((typeof item !== 'number' && typeof item !== 'boolean') || depth !== shape.length) {
      throw new ShapeError(
        `tensor: expected ${depth < shape.length ? 'an array' : 'a number'} at level ${depth}, got ${String(item)}`,
      );
    } else {
      truths += typeof item === 'boolean' ? 1 : 0;
      values.push(Number(item));
    }
  };
  collect(data, 0);
  return { values, shape, dtype: truths > 0 && truths === values.length ? 'bool' : 'f32' };
}

/** A tensor of the given shape, filled with one value (PyTorch's `full`). */
export const full = (shape: Shape, value: number | boolean, { dtype = 'f32' }: DTypeOption = {}): Tensor =>
  constant(checkScalar('full', dtype, value), checkShape('full', shape), dtype);

/** Zeros of the given shape, f32 by default. */
export const zeros = (shape: Shape, options?: DTypeOption): Tensor => full(shape, 0, options);

/** Ones of the given shape, f32 by default. */
export const ones = (shape: Shape, options?: DTypeOption): Tensor => full(shape, 1, options);

/**
 * `start`, `start + step`, … below `stop` (PyTorch's `arange`); `arange(n)` counts from 0 to n − 1. Default dtype: i32 if
 * all three numbers are whole, else f32. Shape [⌈(stop − start) / step⌉].
 */
export function arange(start: number, stop?: number, step = 1, options: DTypeOption = {}): Tensor {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0 || !Number.isFinite((to - from) / step))
    throw new TensorError(`arange: cannot go from ${from} to ${to} in steps of ${step}`);
  const count = Math.max(0, Math.ceil((to - from) / step));
  const dtype = options.dtype ?? ([from, to, step].every(Number.isInteger) ? 'i32' : 'f32');
  checkScalar('arange', dtype, from);
  // A negative step of u32 works because u32 arithmetic wraps.
  const scale = checkScalar('arange', dtype, dtype === 'u32' && Number.isInteger(step) ? step >>> 0 : step);
  const wide = isHalf(dtype) ? 'f32' : dtype;
  return cast(add(mul(iota([count], 0, wide), scale), from), dtype);
}

/** `count` evenly spaced numbers from `start` to `stop`, both included (PyTorch's `linspace`). Shape [count]. */
export function linspace(start: number, stop: number, count: number, { dtype = 'f32' }: DTypeOption = {}): Tensor {
  const [n] = checkShape('linspace', [count]) as [number];
  const values = Float64Array.from({ length: n }, (_, i) => (n === 1 ? start : start + ((stop - start) * i) / (n - 1)));
  if (n > 1) values[n - 1] = stop;
  return leaf([n], dtype, toStorage(dtype, values));
}

/** Ones on the main diagonal, zeros elsewhere (PyTorch's `eye`). Shape [rows, columns]; square by default. */
export function eye(
  rows: number,
  { columns = rows, dtype = 'f32' }: DTypeOption & { readonly columns?: number } = {},
): Tensor {
  const shape = checkShape('eye', [rows, columns]);
  return cast(equal(iota(shape, 0, 'i32'), iota(shape, 1, 'i32')), dtype);
}
