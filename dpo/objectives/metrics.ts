import { cast, type Tensor } from '../../tensor/index.ts';
import { implicitMargin } from './margin.ts';
import type { TimestepWeight } from './objective.ts';
import { errorChanges, type PairOutput, policyErrors } from './pairs.ts';

/** Metrics of each pair, [pairs] each. */
export interface PairMetrics {
  /** MSE_θ of the preferred images and of the others. */
  readonly winnerError: Tensor;
  readonly loserError: Tensor;
  /** d_w and d_l, their increase over the reference's errors. Both above 0 means that both images became less likely. */
  readonly winnerChange: Tensor;
  readonly loserChange: Tensor;
  /** u, the implicit reward margin. */
  readonly margin: Tensor;
  /** 1 where u > 0, ½ where u = 0, else 0; the mean is the implicit accuracy. */
  readonly correct: Tensor;
}

/** 1 where a margin is positive, ½ where it is 0, else 0; the margin's shape and dtype. */
export const correctness = (margin: Tensor): Tensor =>
  cast(margin.greater(0), margin.dtype)
    .add(cast(margin.greaterEqual(0), margin.dtype))
    .mul(0.5);

/**
 * Metrics of a batch of pairs, compared with the reference; `weight` is W_t, default ½.
 * @throws TensorError where neither predictions nor errors of the reference are given
 */
export function pairMetrics(pairs: PairOutput, beta: number, weight?: TimestepWeight): PairMetrics {
  const { winner, loser } = policyErrors(pairs);
  const changes = errorChanges(pairs);
  const margin = implicitMargin(changes, beta, weight);
  return {
    winnerError: winner,
    loserError: loser,
    winnerChange: changes.winner,
    loserChange: changes.loser,
    margin,
    correct: correctness(margin),
  };
}
