import { flattenTree, type Shape, sizeOf } from '../../tensor/index.ts';

/** What a tree of parameters holds, without its values. */
export interface Manifest {
  /** How many numbers all tensors hold together. */
  readonly parameters: number;
  readonly tensors: number;
  /** From names, as in the state dict, to shapes, in the order of the tree. */
  readonly shapes: Readonly<Record<string, Shape>>;
}

/** The names and shapes of a tree's tensors. Computes nothing, so the tree may be that of a model of any size. */
export function manifestOf(tree: unknown): Manifest {
  const leaves = flattenTree(tree);
  return {
    parameters: leaves.reduce((sum, { tensor }) => sum + sizeOf(tensor.shape), 0),
    tensors: leaves.length,
    shapes: Object.fromEntries(leaves.map(({ path, tensor }) => [path, tensor.shape])),
  };
}
