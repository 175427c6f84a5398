import { all, cast, flattenTree, isFinite as isFiniteTensor, read, stack } from '../../tensor/index.ts';

/** The paths of the first tensors of a tree that hold NaN or infinity, at most five. */
export async function notFinite(tree: unknown): Promise<string[]> {
  const leaves = flattenTree(tree);
  if (leaves.length === 0) return [];
  const flags = await read(
    stack(
      leaves.map(({ tensor }) => cast(all(isFiniteTensor(tensor)), 'i32')),
      0,
    ),
  );
  return leaves
    .filter((_, i) => flags[i] === 0)
    .slice(0, 5)
    .map(({ path }) => path);
}
