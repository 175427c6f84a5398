import { all, cast, flattenTree, isFinite as isFiniteTensor, read, stack, TensorError } from '../../tensor/index.ts';

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

/** The error of a run that came to numbers that are not finite: in which step, where they begin, what to go on from. */
export function notFiniteError({
  step,
  what,
  found,
  saved,
  checkpoints,
  advice,
}: {
  readonly step: number;
  /** What was seen of it. */
  readonly what: string;
  /** Paths of tensors, by what these are. */
  readonly found: Readonly<Record<string, readonly string[]>>;
  /** The step of the last checkpoint, 0 if there is none. */
  readonly saved: number;
  readonly checkpoints: string;
  readonly advice: string;
}): TensorError {
  const told = Object.entries(found).map(([kind, paths]) =>
    paths.length === 0 ? '' : `; ${kind} that are not finite begin with: ${paths.join(', ')}`,
  );
  const last =
    saved === 0 ? 'there is no checkpoint yet' : `the last good checkpoint is that of step ${saved} in ${checkpoints}`;
  return new TensorError(`step ${step}: ${what}${told.join('')}. ${last}. ${advice}`);
}
