import { ShapeError } from '../errors.ts';
import { sameShape } from '../shape.ts';
import { type Tensor, typeOf } from '../tensor.ts';
import { logSoftmax } from './activations.ts';
import { abs, mul, neg, softplus, square, sub } from './elementwise.ts';
import { gather } from './indexing.ts';
import { squeeze, unsqueeze } from './movement.ts';
import { mean, sum } from './reductions.ts';

export interface LossOptions {
  /** What becomes of the per-element losses: their mean (the default), their sum, or nothing. */
  readonly reduction?: 'mean' | 'sum' | 'none';
}

function reduce(losses: Tensor, { reduction = 'mean' }: LossOptions): Tensor {
  return reduction === 'none' ? losses : reduction === 'sum' ? sum(losses) : mean(losses);
}

function checkSameShape(operator: string, a: Tensor, b: Tensor): void {
  if (!sameShape(a.shape, b.shape)) throw new ShapeError(`${operator}: shapes differ: ${typeOf(a)} and ${typeOf(b)}`);
}

/** (a − b)². */
export function mseLoss(a: Tensor, b: Tensor, options: LossOptions = {}): Tensor {
  checkSameShape('mseLoss', a, b);
  return reduce(square(sub(a, b)), options);
}

/** |a − b|. */
export function l1Loss(a: Tensor, b: Tensor, options: LossOptions = {}): Tensor {
  checkSameShape('l1Loss', a, b);
  return reduce(abs(sub(a, b)), options);
}

/** −log softmax(logits)[target]: logits [N, classes], target i32 [N]. */
export function crossEntropy(logits: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  if (logits.rank !== 2 || target.rank !== 1 || logits.shape[0] !== target.shape[0]) {
    throw new ShapeError(
      `crossEntropy: needs logits [N, classes] and targets [N], got ${typeOf(logits)} and ${typeOf(target)}`,
    );
  }
  return reduce(neg(squeeze(gather(logSoftmax(logits), unsqueeze(target, 1), 1), 1)), options);
}

/** −[y·log σ(x) + (1 − y)·log(1 − σ(x))] = softplus(x) − x·y, without overflow. */
export function binaryCrossEntropyWithLogits(logits: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkSameShape('binaryCrossEntropyWithLogits', logits, target);
  return reduce(sub(softplus(logits), mul(logits, target)), options);
}
