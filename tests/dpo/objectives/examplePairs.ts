import type { Objective, PairOutput } from 'diffusion-dpo/dpo';
import { item, key, random, type Tensor, tensor } from 'diffusion-dpo/tensor';

/** Images of one pixel, so that MSE = (target − prediction)²: targets are 0 and predictions are roots of the errors. */
export const pairsOf = (
  winner: number[],
  loser: number[],
  referenceWinner: number[],
  referenceLoser: number[],
): PairOutput => {
  const roots = (errors: number[]) => tensor(errors.map(Math.sqrt), { dtype: 'f64' }).reshape([errors.length, 1]);
  const target = tensor(
    winner.map(() => [0]),
    { dtype: 'f64' },
  );
  return {
    winner: { prediction: roots(winner), target, reference: roots(referenceWinner) },
    loser: { prediction: roots(loser), target, reference: roots(referenceLoser) },
  };
};

/** d_w = −0.1 and 0.3, d_l = 0.2 and 0.1: with β = 2, u = 0.3 and −0.2. */
export const example = pairsOf([0.4, 0.8], [0.7, 0.6], [0.5, 0.5], [0.5, 0.5]);
export const beta = 2;
export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
export const valueOf = async (objective: Objective, pairs = example) => item(objective.loss(pairs));

/** Random pairs whose reference is near the policy. */
export function randomPairs(seed: number, distance = 0.3): PairOutput {
  const [a, b] = random.split(key(seed));
  const side = (sideKey: Tensor) => {
    const [first, second, third] = random.split(sideKey, 3) as [Tensor, Tensor, Tensor];
    const draw = (from: Tensor) => random.normal(from, [3, 2, 2], { dtype: 'f64' });
    const prediction = draw(first);
    return { prediction, target: draw(second), reference: prediction.add(draw(third).mul(distance)) };
  };
  return { winner: side(a), loser: side(b) };
}
