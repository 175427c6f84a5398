import { ShapeError, TensorError } from '../errors.ts';
import { noAttributes } from '../primitives.ts';
import { broadcastShapes, sizeOf } from '../shape.ts';
import { makeNode, type Tensor, typeOf } from '../tensor.ts';
import { add } from './elementwise.ts';
import { reshape, squeeze, transpose, unsqueeze } from './movement.ts';
import { broadcastTo, checkNumeric } from './operands.ts';

/**
 * The matrix product by NumPy's rules (PyTorch's `matmul`): [batch…, M, K] × [batch…, K, N] → [batch…, M, N]; batch axes
 * broadcast. A vector on the left is a row, a vector on the right a column; the result lacks its axis.
 * @throws ShapeError for inner sizes that differ, TensorError for dtypes that differ
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkNumeric('matmul', a);
  if (a.dtype !== b.dtype)
    throw new TensorError(`matmul: dtypes differ: ${typeOf(a)} and ${typeOf(b)}; cast one of them`);
  if (a.rank === 0 || b.rank === 0) {
    throw new ShapeError(`matmul: ${typeOf(a)} × ${typeOf(b)}: a scalar has no matrix product; multiply with mul`);
  }
  const [inner, innerB] = [a.shape.at(-1) as number, b.shape.at(b.rank === 1 ? 0 : -2) as number];
  if (inner !== innerB) {
    throw new ShapeError(`matmul: ${typeOf(a)} × ${typeOf(b)}: the inner sizes ${inner} and ${innerB} must be equal`);
  }
  if (a.rank === 1) return squeeze(matmul(unsqueeze(a, 0), b), b.rank === 1 ? 0 : -2);
  if (b.rank === 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  const [rows, columns] = [a.shape.at(-2) as number, b.shape.at(-1) as number];
  if (b.rank === 2 && a.rank > 2) {
    // All of the batch is multiplied by one matrix, so its rows are the rows of one product.
    return reshape(matmul(reshape(a, [sizeOf(a.shape.slice(0, -1)), inner]), b), [...a.shape.slice(0, -1), columns]);
  }
  const batch = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  const inputs = [broadcastTo(a, [...batch, rows, inner]), broadcastTo(b, [...batch, inner, columns])];
  return makeNode('matmul', inputs, noAttributes, [...batch, rows, columns], a.dtype);
}

/** x·weightᵀ + bias (PyTorch's `linear`): x [batch…, in], weight [out, in], bias [out] → [batch…, out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (weight.rank !== 2 || x.shape.at(-1) !== weight.shape[1]) {
    throw new ShapeError(
      `linear: ${typeOf(x)} needs a weight of shape [out, ${x.shape.at(-1)}], got ${typeOf(weight)}`,
    );
  }
  if (bias !== undefined && (bias.rank !== 1 || bias.size !== weight.shape[0])) {
    throw new ShapeError(
      `linear: the bias of ${typeOf(weight)} must be ${weight.dtype}[${weight.shape[0]}], got ${typeOf(bias)}`,
    );
  }
  const product = matmul(x, transpose(weight));
  return bias === undefined ? product : add(product, bias);
}

/** The outer product of two vectors: [M], [N] → [M, N] (PyTorch's `outer`). */
export function outer(a: Tensor, b: Tensor): Tensor {
  if (a.rank !== 1 || b.rank !== 1) throw new ShapeError(`outer: needs two vectors, got ${typeOf(a)} and ${typeOf(b)}`);
  return matmul(unsqueeze(a, 1), unsqueeze(b, 0));
}
