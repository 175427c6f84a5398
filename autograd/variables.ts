import { flattenTree, isFloat, replaceLeaves, type Tensor, TensorError, typeOf } from '../tensor/index.ts';
import { makeNode } from '../tensor/internal.ts';

/**
 * A copy of the tree with a `variable` node for each tensor. Differentiating with respect to these nodes, not the
 * tensors, keeps tensors that a function closes over constant and lets derivatives nest.
 */
export function asVariables<T>(operator: string, tree: T): { variables: readonly Tensor[]; tree: T } {
  const variables = flattenTree(tree).map(({ path, tensor }) => {
    if (!isFloat(tensor.dtype)) {
      const name = path === '' ? 'the input' : `'${path}'`;
      throw new TensorError(
        `${operator}: ${name} is ${typeOf(tensor)}, and only floats have gradients; ` +
          'close over it, or pass it as a later argument of a function that is differentiated by its first',
      );
    }
    return makeNode('variable', [tensor], {}, tensor.shape, tensor.dtype);
  });
  return { variables, tree: replaceLeaves(tree, variables) };
}
