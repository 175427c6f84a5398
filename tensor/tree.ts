import { TensorError } from './errors.ts';
import { Tensor } from './tensor.ts';

/**
 * Trees are nested arrays and plain objects with tensors as leaves: parameters, gradients, optimiser states, batches.
 * All other values in them (numbers, strings, null, class instances) stay as they are.
 */
const isPlainObject = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};

const join = (path: string, key: string | number): string => (path === '' ? `${key}` : `${path}.${key}`);

function map(tree: unknown, path: string, f: (tensor: Tensor, path: string) => unknown): unknown {
  if (tree instanceof Tensor) return f(tree, path);
  if (Array.isArray(tree)) return tree.map((child, i) => map(child, join(path, i), f));
  if (isPlainObject(tree)) {
    const copy = { ...tree };
    for (const key of Object.keys(copy)) copy[key] = map(copy[key], join(path, key), f);
    return copy;
  }
  return tree;
}

/** Calls `f` with each tensor of a tree and its path, in the order of the tree's keys. */
function visit(tree: unknown, path: string, f: (tensor: Tensor, path: string) => void): void {
  if (tree instanceof Tensor) f(tree, path);
  else if (Array.isArray(tree)) for (let i = 0; i < tree.length; i++) visit(tree[i], join(path, i), f);
  else if (isPlainObject(tree)) for (const key of Object.keys(tree)) visit(tree[key], join(path, key), f);
}

/** A copy of the tree with every tensor replaced by `f(tensor, path)`. A path joins keys with dots: `blocks.0.weight`. */
export function mapTree<T>(tree: T, f: (tensor: Tensor, path: string) => Tensor): T {
  return map(tree, '', f) as T;
}

/** The tensors of a tree with their paths, in the order of its keys. A tensor that occurs twice is listed twice. */
export function flattenTree(tree: unknown): { path: string; tensor: Tensor }[] {
  const leaves: { path: string; tensor: Tensor }[] = [];
  visit(tree, '', (tensor, path) => leaves.push({ path, tensor }));
  return leaves;
}

/** The tensors of a tree, in the order of `flattenTree`. */
export const treeLeaves = (tree: unknown): Tensor[] => flattenTree(tree).map(({ tensor }) => tensor);

/** A copy of the tree with its tensors replaced in the order of `flattenTree`; those without a replacement stay. */
export function replaceLeaves<T>(tree: T, replacements: readonly Tensor[]): T {
  let next = 0;
  return mapTree(tree, (tensor) => replacements[next++] ?? tensor);
}

/**
 * Combines trees of the same structure: a copy of the first tree with each tensor replaced by `f` of that tensor and the
 * tensors at the same path of the other trees.
 * @throws TensorError where the trees have tensors at different paths
 */
export function zipTrees<T>(
  f: (tensor: Tensor, ...others: Tensor[]) => Tensor,
  tree: T,
  ...others: readonly unknown[]
): T {
  const first = flattenTree(tree);
  const columns = others.map((other) => {
    const leaves = flattenTree(other);
    const odd = Array.from({ length: Math.max(first.length, leaves.length) }, (_, i) => i).find(
      (i) => first[i]?.path !== leaves[i]?.path,
    );
    if (odd !== undefined) {
      const [here, there] = [first[odd], leaves[odd]].map((leaf) =>
        leaf === undefined ? 'nothing' : `'${leaf.path}'`,
      );
      throw new TensorError(`zipTrees: the trees differ: the first has ${here} where another has ${there}`);
    }
    return leaves;
  });
  return replaceLeaves(
    tree,
    first.map(({ tensor }, i) => f(tensor, ...columns.flatMap((leaves) => leaves[i]?.tensor ?? []))),
  );
}
