import { createHash } from 'node:crypto';
import { flattenTree, read } from '../../../tensor/index.ts';
import type { PairSource } from '../../data/sources.ts';

/**
 * What tells the pairs and the weights of a run from others under the same names, without reading all of them: how many pairs
 * there are, the first one, and the first and the last tensor of the weights.
 */
export async function fingerprint(pairs: PairSource, weights: unknown): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([pairs.count, pairs.ties, pairs.unlabelled]));
  // A row that cannot be read is one that cannot be read the next time too.
  const first = await pairs.read(0).catch(() => undefined);
  if (first !== undefined) hash.update(first.caption).update(first.winner.data).update(first.loser.data);
  const leaves = flattenTree(weights);
  for (const leaf of [leaves[0], leaves.at(-1)]) if (leaf !== undefined) hash.update(await read(leaf.tensor));
  return hash.digest('hex').slice(0, 16);
}
