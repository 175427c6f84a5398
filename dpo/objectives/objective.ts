import type { Tensor } from '../../tensor/index.ts';
import type { PairOutput } from './pairs.ts';

/** W_t of each pair, [pairs], or one number for all. Wallace et al. 2023 use ½. */
export type TimestepWeight = Tensor | number;

/** A loss of preference training. */
export interface Objective {
  /** Name in messages and logs. */
  readonly name: string;
  /** What the loss needs of the frozen reference: its predictions, only its errors, or nothing. */
  readonly compares: 'predictions' | 'errors' | 'nothing';
  /** Set for an objective of flow matching: images noised along straight lines, networks that predict velocities. */
  readonly process?: 'flow';
  /** The loss of a batch of pairs, a scalar. Objectives without a margin ignore `weight`. */
  readonly loss: (pairs: PairOutput, weight?: TimestepWeight) => Tensor;
}
