import { join } from 'node:path';
import { removeUnfinishedSaves } from '../../../diffusion/index.node.ts';
import { removeLeftovers } from '../../../tensor/index.node.ts';
import { removeUnfinishedCheckpoints } from '../checkpoint.node.ts';

/** Removes what runs left that were killed while they wrote into an output folder; the caller has locked it. */
export async function removeRemains(output: string): Promise<void> {
  await removeLeftovers(output, 'model');
  await removeUnfinishedSaves(join(output, 'model'));
  await removeUnfinishedCheckpoints(join(output, 'checkpoints'));
}
