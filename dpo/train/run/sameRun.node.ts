import { createHash } from 'node:crypto';
import { flattenTree, read, TensorError } from '../../../tensor/index.ts';
import type { PairSource } from '../../data/sources.ts';
import { keyVersion, otherKeys } from '../../keys.ts';
import { type Checkpoint, settingsOfRecord } from '../checkpoint.node.ts';
import { settingsChanges } from './settingsChanges.node.ts';

/**
 * A hash that changes when other pairs or weights have the same names, without reading all of them: of the number of pairs,
 * the first pair, and the first and the last tensor of the weights. 16 hexadecimal digits.
 */
export async function fingerprint(pairs: PairSource, weights: unknown): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([pairs.count, pairs.ties, pairs.unlabelled]));
  // A row that cannot be read now cannot be read when the run resumes either.
  const first = await pairs.read(0).catch(() => undefined);
  if (first !== undefined) hash.update(first.caption).update(first.winner.data).update(first.loser.data);
  const leaves = flattenTree(weights);
  for (const leaf of [leaves[0], leaves.at(-1)]) if (leaf !== undefined) hash.update(await read(leaf.tensor));
  return hash.digest('hex').slice(0, 16);
}

const elsewhere = "Give another `output`, or remove that folder's checkpoints";

/**
 * Refuses to resume a training checkpoint with other settings, keys or inputs than its run began with.
 * @param inputs the `fingerprint` of the pairs and the weights
 */
export function refuseOtherRun({ folder, record }: Checkpoint, settings: object, inputs: string): void {
  const changes = settingsChanges(settingsOfRecord({ folder, record }), settings);
  if (changes.length > 0)
    throw new TensorError(
      `${folder}: this run was begun with other settings, so it cannot go on with these:\n` +
        `${changes.map((change) => `  ${change}`).join('\n')}\n${elsewhere}`,
    );
  if (record.keys !== keyVersion) throw new TensorError(`${folder}: ${otherKeys}, so it cannot go on. ${elsewhere}`);
  if (record.inputs !== undefined && record.inputs !== inputs)
    throw new TensorError(
      `${folder}: this run was begun with other pairs or another model under the same names, so it cannot go on with these. ${elsewhere}`,
    );
}
