import {
  cast,
  equal,
  iota,
  isFloat,
  replaceLeaves,
  reshape,
  stack,
  type Tensor,
  TensorError,
  typeOf,
  zeros,
  zerosLike,
} from '../tensor/index.ts';
import { backward } from './backward.ts';
import { asVariables } from './variables.ts';
import { grad } from './vjp.ts';

/**
 * All partial derivatives of a tensor-valued function of one tree of floats: a tree like x, whose leaves have the shape
 * [...output, ...leaf]. Takes one pullback per element of the output.
 * @throws TensorError unless the function returns floats
 */
export function jacobian<P>(f: (x: P) => Tensor): (x: P) => P {
  return (x) => {
    const { variables, tree } = asVariables('jacobian', x);
    const value = f(tree);
    if (!isFloat(value.dtype)) throw new TensorError(`jacobian: the function must return floats, got ${typeOf(value)}`);
    const rows = Array.from({ length: value.size }, (_, i) => {
      const unit = reshape(cast(equal(iota([value.size], 0, 'i32'), i), value.dtype), value.shape);
      return backward([value], [unit], variables);
    });
    return replaceLeaves(
      x,
      variables.map((variable, i) => {
        const shape = [...value.shape, ...variable.shape];
        const parts = rows.map((row) => row[i] ?? zerosLike(variable));
        return parts.length === 0 ? zeros(shape, { dtype: variable.dtype }) : reshape(stack(parts), shape);
      }),
    );
  };
}

/** The second derivatives of a scalar function of one float tensor: shape [...x, ...x]. */
export function hessian(f: (x: Tensor) => Tensor): (x: Tensor) => Tensor {
  return jacobian(grad(f));
}
