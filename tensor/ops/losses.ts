import { isHalf } from '../dtype.ts';
import { ShapeError, TensorError } from '../errors.ts';
import { sameShape } from '../shape.ts';
import { type Tensor, typeOf } from '../tensor.ts';
import { logSoftmax } from './activations.ts';
import { abs, mul, neg, softplus, square, sub } from './elementwise.ts';
import { gather } from './indexing.ts';
import { squeeze, unsqueeze } from './movement.ts';
import { cast, checkFloat, inFloat32 } from './operands.ts';
import { mean, sum } from './reductions.ts';

/** Options of the losses. */
export interface LossOptions {
  /** The mean of the losses (the default), their sum, or `none`: one loss per element. */
  readonly reduction?: 'mean' | 'sum' | 'none';
}

function reduce(losses: Tensor, { reduction = 'mean' }: LossOptions): Tensor {
  return reduction === 'none' ? losses : reduction === 'sum' ? sum(losses) : mean(losses);
}

/** A loss of pairs of elements; halves are computed in f32 and rounded once, after the reduction. */
const pairwise = (operator: string, each: (a: Tensor, b: Tensor) => Tensor) => {
  return (a: Tensor, b: Tensor, options: LossOptions = {}): Tensor => {
    checkFloat(operator, a);
    if (!sameShape(a.shape, b.shape)) throw new ShapeError(`${operator}: shapes differ: ${typeOf(a)} and ${typeOf(b)}`);
    if (a.dtype !== b.dtype) throw new TensorError(`${operator}: dtypes differ: ${typeOf(a)} and ${typeOf(b)}`);
    const other = isHalf(b.dtype) ? cast(b, 'f32') : b;
    return inFloat32(a, (wide) => reduce(each(wide, other), options));
  };
};

/** (a − b)² (PyTorch's `mse_loss`). a and b have the same shape and float dtype. */
export const mseLoss: (a: Tensor, b: Tensor, options?: LossOptions) => Tensor = pairwise('mseLoss', (a, b) =>
  square(sub(a, b)),
);

/** |a − b| (PyTorch's `l1_loss`). a and b have the same shape and float dtype. */
export const l1Loss: (a: Tensor, b: Tensor, options?: LossOptions) => Tensor = pairwise('l1Loss', (a, b) =>
  abs(sub(a, b)),
);

/** −log softmax(logits)[target] (PyTorch's `cross_entropy`): logits [N, classes], target [N], i32 or u32. */
export function crossEntropy(logits: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  if (logits.rank !== 2 || target.rank !== 1 || logits.shape[0] !== target.shape[0]) {
    throw new ShapeError(
      `crossEntropy: needs logits [N, classes] and targets [N], got ${typeOf(logits)} and ${typeOf(target)}`,
    );
  }
  return inFloat32(logits, (wide) =>
    reduce(neg(squeeze(gather(logSoftmax(wide), unsqueeze(target, 1), 1), 1)), options),
  );
}

/**
 * −[y·log σ(x) + (1 − y)·log(1 − σ(x))] = softplus(x) − x·y for logits x and targets y of the same shape and float dtype,
 * without overflow (PyTorch's `binary_cross_entropy_with_logits`).
 */
export const binaryCrossEntropyWithLogits: (logits: Tensor, target: Tensor, options?: LossOptions) => Tensor = pairwise(
  'binaryCrossEntropyWithLogits',
  (logits, target) => sub(softplus(logits), mul(logits, target)),
);
