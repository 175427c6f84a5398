import { checkScalar, type DType, isFloat, isHalf } from '../dtype.ts';
import { ShapeError, TensorError } from '../errors.ts';
import { noAttributes } from '../primitives.ts';
import { broadcastShapes, type Shape, sameShape } from '../shape.ts';
import { makeNode, Tensor, typeOf } from '../tensor.ts';

/** An operand of an elementwise operator. Numbers and booleans take the dtype of the other operand, a tensor. */
export type Operand = Tensor | number | boolean;

/** A tensor filled with one number; the fast executors fuse it into kernels, without memory. */
export const constant = (value: number, shape: Shape, dtype: DType): Tensor =>
  makeNode('constant', [], { value }, shape, dtype);

/** A tensor whose elements are their own index along `axis`: 0, 1, 2, …. */
export const iota = (shape: Shape, axis: number, dtype: DType): Tensor => makeNode('iota', [], { axis }, shape, dtype);

/** Broadcasts to `shape` by NumPy's rules: adds leading axes and repeats axes of size 1 (PyTorch's `broadcast_to`). */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes('broadcastTo', x.shape, shape), shape)) {
    throw new ShapeError(`broadcastTo: ${typeOf(x)} does not broadcast to [${shape.join(', ')}]`);
  }
  const aligned = [...new Array<number>(shape.length - x.rank).fill(1), ...x.shape];
  const expanded = sameShape(aligned, x.shape) ? x : makeNode('reshape', [x], noAttributes, aligned, x.dtype);
  return sameShape(aligned, shape) ? expanded : makeNode('broadcastTo', [expanded], noAttributes, shape, x.dtype);
}

/** Converts operands to tensors of one dtype and shape; throws where dtypes differ or shapes do not broadcast. */
export function broadcastOperands(operator: string, operands: readonly Operand[]): Tensor[] {
  let first: Tensor | undefined;
  let shape: Shape = [];
  for (const operand of operands) {
    if (!(operand instanceof Tensor)) continue;
    if (first === undefined) {
      first = operand;
      shape = operand.shape;
    } else if (operand.dtype !== first.dtype) {
      throw new TensorError(
        `${operator}: dtypes differ: ${typeOf(first)} and ${typeOf(operand)}; cast one of them, nothing is promoted silently`,
      );
    } else shape = broadcastShapes(operator, shape, operand.shape);
  }
  if (first === undefined) throw new TensorError(`${operator}: at least one operand must be a tensor`);
  const { dtype } = first;
  return operands.map((operand) =>
    operand instanceof Tensor
      ? broadcastTo(operand, shape)
      : constant(checkScalar(operator, dtype, operand), shape, dtype),
  );
}

/** Throws unless `x` holds floats. */
export function checkFloat(operator: string, x: Tensor): void {
  if (!isFloat(x.dtype)) {
    throw new TensorError(`${operator}: needs floats, got ${typeOf(x)}; cast it first, for example \`cast(x, 'f32')\``);
  }
}

/** Throws for bool. */
export function checkNumeric(operator: string, x: Tensor): void {
  if (x.dtype === 'bool') {
    throw new TensorError(
      `${operator}: needs numbers, got ${typeOf(x)}; cast it first, for example \`cast(x, 'i32')\``,
    );
  }
}

/** Throws unless `x` is bool. */
export function checkBool(operator: string, x: Tensor): void {
  if (x.dtype !== 'bool')
    throw new TensorError(`${operator}: needs bool, got ${typeOf(x)}; compare it with something first`);
}

/** Converts to `dtype`: floats become integers by truncation and saturate, NaN becomes 0; any number but 0 is true. */
export const cast = (x: Tensor, dtype: DType): Tensor =>
  x.dtype === dtype ? x : makeNode('cast', [x], noAttributes, x.shape, dtype);

/**
 * Computes a composed operator on halves in f32, so that it rounds once, at the end, and sums do not overflow.
 */
export function inFloat32(x: Tensor, f: (x: Tensor) => Tensor): Tensor {
  return isHalf(x.dtype) ? cast(f(cast(x, 'f32')), x.dtype) : f(x);
}
