import { ShapeError, type Tensor, TensorError, typeOf } from '../../tensor/index.ts';

/** What the models say of one side of a batch of pairs. Tensors are [pairs, …], errors [pairs]. */
export interface SideOutput {
  /** The policy's prediction of the target: ε, v, or a flow's velocity. */
  readonly prediction: Tensor;
  readonly target: Tensor;
  /** The frozen reference's prediction of the same; objectives that compare need it, or its error. */
  readonly reference?: Tensor | undefined;
  /** MSE_ref, where it was computed before. */
  readonly referenceError?: Tensor | undefined;
}

/** Both sides of a batch of pairs, with one noise and one time step for the two sides of a pair. */
export interface PairOutput {
  /** The preferred images. */
  readonly winner: SideOutput;
  readonly loser: SideOutput;
}

/** MSE_θ of both sides of a batch of pairs; each [pairs]. */
export interface PolicyErrors {
  readonly winner: Tensor;
  readonly loser: Tensor;
}

/** d = MSE_θ − MSE_ref of both sides: how much worse than the reference the policy predicts; each [pairs]. */
export interface ErrorChanges {
  readonly winner: Tensor;
  readonly loser: Tensor;
}

/** The mean of (target − prediction)² over everything but the first axis: [pairs]. */
export function meanSquaredError(prediction: Tensor, target: Tensor): Tensor {
  if (prediction.shape.join() !== target.shape.join()) {
    throw new ShapeError(
      `meanSquaredError: the prediction ${typeOf(prediction)} and its target ${typeOf(target)} must have one shape`,
    );
  }
  const axes = prediction.shape.map((_, axis) => axis).slice(1);
  return target.sub(prediction).square().mean(axes);
}

/** MSE_θ of both sides. */
export const policyErrors = ({ winner, loser }: PairOutput): PolicyErrors => ({
  winner: meanSquaredError(winner.prediction, winner.target),
  loser: meanSquaredError(loser.prediction, loser.target),
});

/** MSE_ref of one side. */
export function referenceError({ reference, referenceError: known, target }: SideOutput): Tensor {
  if (known !== undefined) return known;
  if (reference !== undefined) return meanSquaredError(reference, target);
  throw new TensorError(
    'this objective compares with the reference model: give each side `reference` (its prediction) or `referenceError`',
  );
}

/** d_w and d_l. */
export function errorChanges(pairs: PairOutput): ErrorChanges {
  const { winner, loser } = policyErrors(pairs);
  return { winner: winner.sub(referenceError(pairs.winner)), loser: loser.sub(referenceError(pairs.loser)) };
}
