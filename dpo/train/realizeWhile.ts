import { prepare, realize } from '../../tensor/index.ts';

/**
 * Computes a tree, whose `donate` is given up, and builds what comes next meanwhile: graphs may refer to the tree already.
 * What of that will be computed next, all of it if nothing is said, is `treeOf` it.
 */
export async function realizeWhile<N>(
  tree: unknown,
  donate: unknown,
  build: () => Promise<N>,
  treeOf: (next: N) => unknown = (next) => next,
): Promise<N> {
  const running = realize(tree, { donate });
  // Where both fail, what went wrong first is told, below.
  running.catch(() => undefined);
  // Lets the run begin.
  await new Promise((resolve) => setTimeout(resolve, 0));
  const next = await build();
  prepare(treeOf(next));
  await running;
  return next;
}
