import { ShapeError, type Tensor, TensorError, typeOf } from '../../tensor/index.ts';

/** Predictions for one side of a batch of pairs: tensors [pairs, …], errors [pairs]. */
export interface SideOutput {
  /** The policy's prediction of ε, v, or a flow's velocity. */
  readonly prediction: Tensor;
  /** The true value of what is predicted, of the prediction's shape. */
  readonly target: Tensor;
  /** The frozen reference's prediction; objectives that compare need this or `referenceError`. */
  readonly reference?: Tensor | undefined;
  /** MSE_ref, where it is precomputed. */
  readonly referenceError?: Tensor | undefined;
}

/** Both sides of a batch of pairs. The two images of a pair share noise and time step. */
export interface PairOutput {
  /** The preferred images. */
  readonly winner: SideOutput;
  readonly loser: SideOutput;
}

/** MSE_θ of both sides of a batch of pairs, [pairs] each. */
export interface PolicyErrors {
  readonly winner: Tensor;
  readonly loser: Tensor;
}

/** d = MSE_θ − MSE_ref of both sides, [pairs] each; above 0 where the policy predicts worse than the reference. */
export interface ErrorChanges {
  readonly winner: Tensor;
  readonly loser: Tensor;
}

/**
 * The mean of (target − prediction)² over all axes but the first, [pairs].
 * @throws ShapeError where the shapes differ
 */
export function meanSquaredError(prediction: Tensor, target: Tensor): Tensor {
  if (prediction.shape.join() !== target.shape.join()) {
    throw new ShapeError(
      `meanSquaredError: the prediction ${typeOf(prediction)} and its target ${typeOf(target)} must have one shape`,
    );
  }
  const axes = prediction.shape.map((_, axis) => axis).slice(1);
  return target.sub(prediction).square().mean(axes);
}

/** MSE_θ of both sides, [pairs] each. */
export const policyErrors = ({ winner, loser }: PairOutput): PolicyErrors => ({
  winner: meanSquaredError(winner.prediction, winner.target),
  loser: meanSquaredError(loser.prediction, loser.target),
});

/**
 * MSE_ref of one side, [pairs]: precomputed, or from the reference's prediction.
 * @throws TensorError where neither is given
 */
export function referenceError({ reference, referenceError: known, target }: SideOutput): Tensor {
  if (known !== undefined) return known;
  if (reference !== undefined) return meanSquaredError(reference, target);
  throw new TensorError(
    'this objective compares with the reference model: give each side `reference` (its prediction) or `referenceError`',
  );
}

/**
 * d_w and d_l, [pairs] each.
 * @throws TensorError where neither predictions nor errors of the reference are given
 */
export function errorChanges(pairs: PairOutput): ErrorChanges {
  const { winner, loser } = policyErrors(pairs);
  return { winner: winner.sub(referenceError(pairs.winner)), loser: loser.sub(referenceError(pairs.loser)) };
}
