import { Tensor } from './tensor.ts';

/**
 * Trees are nested arrays and plain objects with tensors as leaves: parameters, gradients, optimiser states, batches.
 * Anything else in them (numbers, strings, null, class instances) is carried along untouched.
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
    return Object.fromEntries(Object.entries(tree).map(([key, child]) => [key, map(child, join(path, key), f)]));
  }
  return tree;
}

/** The same tree with every tensor replaced by `f(tensor, path)`; paths join keys with dots. */
export function mapTree<T>(tree: T, f: (tensor: Tensor, path: string) => Tensor): T {
  return map(tree, '', f) as T;
}

/** Tensors of a tree with their paths, in the order of its keys. A tensor that occurs twice is listed twice. */
export function flattenTree(tree: unknown): { path: string; tensor: Tensor }[] {
  const leaves: { path: string; tensor: Tensor }[] = [];
  map(tree, '', (tensor, path) => leaves.push({ path, tensor }));
  return leaves;
}

/** The tensors of a tree, in the order of `flattenTree`. */
export const treeLeaves = (tree: unknown): Tensor[] => flattenTree(tree).map(({ tensor }) => tensor);

/** The same tree with its tensors replaced, in the order of `flattenTree`. */
export function replaceLeaves<T>(tree: T, replacements: readonly Tensor[]): T {
  let next = 0;
  return mapTree(tree, (tensor) => replacements[next++] ?? tensor);
}
