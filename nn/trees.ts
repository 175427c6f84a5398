import { flattenTree, mapTree, replaceLeaves, sizeOf, type Tensor, TensorError, zeros } from '../tensor/index.ts';

/**
 * Which tensors of a tree: by a function of their paths, by a regular expression, or by a pattern in which * is anything
 * within a name, and ** any number of names.
 */
export type PathPattern = string | RegExp | ((path: string) => boolean);

const nameExpression = (name: string): string => name.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^.]*');

function expressionOf(pattern: string): RegExp {
  const names = pattern.split('.');
  const source = names.map((name, i) => {
    if (name !== '**') return `${nameExpression(name)}${i + 1 < names.length && names[i + 1] !== '**' ? '\\.' : ''}`;
    if (names.length === 1) return '.*';
    if (i === 0) return '(?:.*\\.)?';
    return i + 1 === names.length ? '(?:\\..*)?' : '\\.(?:.*\\.)?';
  });
  return new RegExp(`^${source.join('')}$`);
}

/** A function that says whether a path fits one of the patterns. */
export function pathMatcher(...patterns: readonly PathPattern[]): (path: string) => boolean {
  const tests = patterns.map((pattern) => {
    if (typeof pattern === 'function') return pattern;
    const expression = typeof pattern === 'string' ? expressionOf(pattern) : pattern;
    return (path: string) => path.search(expression) >= 0;
  });
  return (path) => tests.some((test) => test(path));
}

/** How many numbers a tree holds. */
export const countParameters = (tree: unknown): number =>
  flattenTree(tree).reduce((sum, { tensor }) => sum + sizeOf(tensor.shape), 0);

/** A tensor in a dtype in which sums do not lose: halves as f32. */
export const widened = (x: Tensor): Tensor => (x.dtype === 'f64' ? x : x.cast('f32'));

const sumOfSquares = (x: Tensor): Tensor => widened(x).square().sum();

/** √Σ x² of each tensor of a tree: a tree of scalars, in f32 or f64. */
export const leafNorms = <T>(tree: T): T => mapTree(tree, (x) => sumOfSquares(x).sqrt());

/** √Σ x² over all tensors of a tree: a scalar, in f32, or f64 where there is a tensor in f64. */
export function globalNorm(tree: unknown): Tensor {
  const squares = flattenTree(tree).map(({ tensor }) => sumOfSquares(tensor));
  const dtype = squares.some((square) => square.dtype === 'f64') ? 'f64' : 'f32';
  return squares.reduce((sum, square) => sum.add(square.cast(dtype)), zeros([], { dtype })).sqrt();
}

/** Tensors by their paths: what a tree's tensors become when it is cut in two. */
export type Selected = Readonly<Record<string, Tensor>>;

/** The result of `partition`: tensors by their paths. */
export interface Partition {
  readonly selected: Selected;
  readonly rest: Selected;
}

/** Cuts the tensors of a tree in two, by their paths: those that fit (what is trained, say), and the others. */
export function partition(tree: unknown, ...patterns: readonly PathPattern[]): Partition {
  const fits = pathMatcher(...patterns);
  const leaves = flattenTree(tree);
  const take = (wanted: boolean): Selected =>
    Object.fromEntries(leaves.filter(({ path }) => fits(path) === wanted).map(({ path, tensor }) => [path, tensor]));
  return { selected: take(true), rest: take(false) };
}

/** The tree with tensors replaced by those of the same paths in `parts`; throws where a path occurs in no part. */
export function combine<T>(tree: T, ...parts: readonly Selected[]): T {
  const merged: Selected = Object.assign({}, ...parts);
  return replaceLeaves(
    tree,
    flattenTree(tree).map(({ path }) => {
      const found = Object.hasOwn(merged, path) ? merged[path] : undefined;
      if (found === undefined) throw new TensorError(`combine: no part has the tensor '${path}'`);
      return found;
    }),
  );
}

/** The tree with the subtree at a path, such as `down_blocks.0.resnets`, replaced by `f` of it. */
export function updateAt<T>(tree: T, path: string, f: (subtree: unknown) => unknown): T {
  const names = path === '' ? [] : path.split('.');
  const update = (node: unknown, depth: number): unknown => {
    const name = names[depth];
    if (name === undefined) return f(node);
    const isTree = typeof node === 'object' && node !== null && Object.hasOwn(node, name);
    if (!isTree) throw new TensorError(`updateAt: there is no '${names.slice(0, depth + 1).join('.')}' in the tree`);
    const changed = update((node as Readonly<Record<string, unknown>>)[name], depth + 1);
    if (Array.isArray(node)) return node.map((child: unknown, i) => (String(i) === name ? changed : child));
    return { ...node, [name]: changed };
  };
  return update(tree, 0) as T;
}
