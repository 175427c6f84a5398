import { read, tensor } from '../../tensor/index.ts';
import type { Objective } from './objective.ts';
import type { SideOutput } from './pairs.ts';

/** A pair of images of two values each, for which policy and reference predict the same. */
function equalModels(winnerErrors: readonly number[], loserErrors: readonly number[]) {
  const side = (errors: readonly number[]): SideOutput => {
    const prediction = tensor(Float32Array.from(errors)).reshape([1, errors.length]);
    return {
      prediction,
      reference: prediction,
      target: tensor(new Float32Array(errors.length)).reshape([1, errors.length]),
    };
  };
  return { winner: side(winnerErrors), loser: side(loserErrors) };
}

/**
 * The loss of a policy that equals its reference, as at the start of tuning: log 2 for `dpo`, 1 for `hinge`. Undefined where it
 * depends on the images, as for `sft`.
 */
export async function lossAtReference({ loss }: Objective): Promise<number | undefined> {
  const batches = [equalModels([0.25, -0.5], [1, 0.5]), equalModels([2, 1], [-0.75, 0.125])];
  const [first, second] = await Promise.all(batches.map(async (batch) => Number((await read(loss(batch)))[0])));
  return first === second ? first : undefined;
}
