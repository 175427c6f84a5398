import { makeNode } from '../tensor.ts';
import { mapTree } from '../tree.ts';

/** The same tree of tensors, as constants for every derivative (PyTorch's `detach`). */
export function stopGradient<T>(tree: T): T {
  return mapTree(tree, (x) => {
    const call = { name: 'stopGradient', inputs: [], outputCount: 1, rule: () => [] };
    return makeNode('custom', [x], { call, index: 0 }, x.shape, x.dtype);
  });
}
