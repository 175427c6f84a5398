import { all, cast, flattenTree, isFinite as isFiniteTensor, read, stack, TensorError } from '../../tensor/index.ts';

/** The paths of the tensors of a tree that hold NaN or infinity; at most the first five. */
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

/**
 * Refuses weights of which nothing can be drawn; `path` names their file or folder.
 * @throws TensorError that names the first tensors with NaN or infinity
 */
export async function refuseNotFinite(path: string, params: unknown): Promise<void> {
  const found = await notFinite(params);
  if (found.length > 0)
    throw new TensorError(
      `${path}: there are weights that are NaN or infinite, so nothing can be drawn with it; they begin with: ${found.join(', ')}`,
    );
}

/**
 * The error of a run whose numbers are not finite: names the step, the first such tensors and the last training
 * checkpoint.
 */
export function notFiniteError({
  step,
  what,
  found,
  saved,
  checkpoints,
  advice,
}: {
  readonly step: number;
  /** The number that is not finite, in words. */
  readonly what: string;
  /** Paths of the tensors that are not finite, by their kind, such as `parameters`. */
  readonly found: Readonly<Record<string, readonly string[]>>;
  /** The step of the last training checkpoint, 0 if there is none. */
  readonly saved: number;
  /** The folder of the training checkpoints. */
  readonly checkpoints: string;
  readonly advice: string;
}): TensorError {
  const where = Object.entries(found).map(([kind, paths]) =>
    paths.length === 0 ? '' : `; ${kind} that are not finite begin with: ${paths.join(', ')}`,
  );
  const last =
    saved === 0 ? 'there is no checkpoint yet' : `the last good checkpoint is that of step ${saved} in ${checkpoints}`;
  return new TensorError(`step ${step}: ${what}${where.join('')}. ${last}. ${advice}`);
}
