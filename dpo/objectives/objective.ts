import type { Tensor } from '../../tensor/index.ts';
import type { PairOutput } from './pairs.ts';

/** W_t for each pair of a batch: [pairs], or one number for all. The paper and its code have ½. */
export type TimestepWeight = Tensor | number;

/** What training minimises. */
export interface Objective {
  readonly name: string;
  /** What the two sides of a pair are compared with: the frozen reference's predictions, its errors alone, or nothing. */
  readonly compares: 'predictions' | 'errors' | 'nothing';
  /** Where it is meant for images that are noised along straight lines, and networks that predict velocities. */
  readonly process?: 'flow';
  /** The loss of a batch of pairs, a scalar. `weight` is ignored by objectives without a margin. */
  readonly loss: (pairs: PairOutput, weight?: TimestepWeight) => Tensor;
}
