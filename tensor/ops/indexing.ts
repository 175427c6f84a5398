import { type DType, isInteger } from '../dtype.ts';
import { ShapeError, TensorError } from '../errors.ts';
import { checkShape, normalizeAxis, sameShape } from '../shape.ts';
import { makeNode, type Tensor, typeOf } from '../tensor.ts';
import { equal } from './elementwise.ts';
import { permute, reshape, squeeze, unsqueeze } from './movement.ts';
import { broadcastTo, cast, checkNumeric, iota } from './operands.ts';

function checkIndex(operator: string, index: Tensor): Tensor {
  if (!isInteger(index.dtype)) {
    throw new TensorError(
      `${operator}: indices must be i32 or u32, got ${typeOf(index)}; cast them, for example \`cast(index, 'i32')\``,
    );
  }
  return cast(index, 'i32');
}

/** Throws unless `index` has the rank of `x` and, on all axes but `axis`, no larger sizes. */
function checkAligned(operator: string, x: Tensor, index: Tensor, axis: number): void {
  const fits = index.rank === x.rank && index.shape.every((size, i) => i === axis || size <= (x.shape[i] as number));
  if (!fits) {
    throw new ShapeError(
      `${operator}: indices ${typeOf(index)} do not align with ${typeOf(x)} along axis ${axis}: ` +
        'ranks must be equal and, off the axis, index sizes not larger',
    );
  }
}

/**
 * `out[…, i, …] = x[…, index[…, i, …], …]` along an axis (PyTorch's `gather`). The index is i32 or u32, has the rank of x
 * and, on other axes, no larger sizes; the output has the shape of the index. Evaluation throws for an index outside
 * [0, size).
 */
export function gather(x: Tensor, index: Tensor, axis: number): Tensor {
  const at = normalizeAxis('gather', axis, x.rank);
  const indices = checkIndex('gather', index);
  checkAligned('gather', x, indices, at);
  return makeNode('gather', [x, indices], { axis: at }, indices.shape, x.dtype);
}

/**
 * Adds each of `updates` to `base` at its index along an axis, in a fixed order (PyTorch's `scatter_add`): the adjoint of
 * `gather`. The index and `updates` have the same shape. Evaluation throws for an index outside [0, size).
 */
export function scatterAdd(base: Tensor, index: Tensor, updates: Tensor, axis: number): Tensor {
  checkNumeric('scatterAdd', base);
  const at = normalizeAxis('scatterAdd', axis, base.rank);
  const indices = checkIndex('scatterAdd', index);
  checkAligned('scatterAdd', base, indices, at);
  if (!sameShape(updates.shape, indices.shape) || updates.dtype !== base.dtype) {
    throw new ShapeError(
      `scatterAdd: updates ${typeOf(updates)} must have the shape of the indices ${typeOf(indices)} and the dtype of ${typeOf(base)}`,
    );
  }
  return makeNode('scatterAdd', [base, indices, updates], { axis: at }, base.shape, base.dtype);
}

/**
 * `x[…, ids, …]`: the slices of x at `ids` (i32 or u32) along an axis, which the axes of `ids` replace. For example,
 * `take(weight, ids)` is an embedding. Evaluation throws for an id outside [0, size).
 */
export function take(x: Tensor, ids: Tensor, axis = 0): Tensor {
  const at = normalizeAxis('take', axis, x.rank);
  const indices = checkIndex('take', ids);
  const before = x.shape.slice(0, at);
  const after = x.shape.slice(at + 1);
  const column = reshape(indices, [...before.map(() => 1), indices.size, ...after.map(() => 1)]);
  const taken = gather(x, broadcastTo(column, [...before, indices.size, ...after]), at);
  return reshape(taken, [...before, ...indices.shape, ...after]);
}

/** 1 at the class `ids` names, 0 elsewhere: [ids…, classes]; all zeros for an id outside [0, classes). */
export function oneHot(ids: Tensor, classes: number, { dtype = 'f32' }: { dtype?: DType } = {}): Tensor {
  const indices = checkIndex('oneHot', ids);
  const [count] = checkShape('oneHot', [classes]) as [number];
  const shape = [...indices.shape, count];
  return cast(equal(broadcastTo(unsqueeze(indices, -1), shape), iota(shape, shape.length - 1, 'i32')), dtype);
}

/** The diagonal along two axes of equal length, as a new last axis (PyTorch's `diagonal`). */
export function diagonal(x: Tensor, axis1 = -2, axis2 = -1): Tensor {
  const i = normalizeAxis('diagonal', axis1, x.rank);
  const j = normalizeAxis('diagonal', axis2, x.rank);
  const length = x.shape[i] as number;
  if (i === j || length !== x.shape[j]) {
    throw new ShapeError(`diagonal: axes ${axis1} and ${axis2} of ${typeOf(x)} are not two of equal length`);
  }
  const others = x.shape.map((_, axis) => axis).filter((axis) => axis !== i && axis !== j);
  const moved = permute(x, [...others, i, j]);
  // Element r of row r.
  return squeeze(gather(moved, unsqueeze(iota(moved.shape.slice(0, -1), others.length, 'i32'), -1), -1), -1);
}
