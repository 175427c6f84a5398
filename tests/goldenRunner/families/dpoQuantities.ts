import { dpo, type PairOutput, pairMetrics, referenceError } from '../../../dpo/index.ts';
import { stack, type Tensor } from '../../../tensor/index.ts';
import { bounds } from '../bounds.ts';
import type { BoundOptions } from '../results.ts';
import type { Settings } from './family.ts';

export type Tensors = ReadonlyMap<string, Tensor>;

/** What the authors' code computes of a batch of pairs, by its names. */
export function quantities(pairs: PairOutput, beta: number): Map<string, Tensor> {
  const { winnerError, loserError, margin } = pairMetrics(pairs, beta);
  const [w, l] = [referenceError(pairs.winner), referenceError(pairs.loser)];
  const both = (a: Tensor, b: Tensor) => stack([a, b], 0).reshape([2 * a.size]);
  return new Map([
    ['loss', dpo({ beta }).loss(pairs)],
    ['model_losses', both(winnerError, loserError)],
    ['model_losses_w', winnerError],
    ['model_losses_l', loserError],
    ['ref_losses', both(w, l)],
    ['ref_losses_w', w],
    ['ref_losses_l', l],
    ['model_diff', winnerError.sub(loserError)],
    ['ref_diff', w.sub(l)],
    ['inside_term', margin],
    // There, ties count as wrong.
    ['implicit_acc', margin.greater(0).cast(margin.dtype).mean()],
    ['raw_model_loss', winnerError.mean().add(loserError.mean()).mul(0.5)],
    ['raw_ref_loss', w.mean().add(l.mean()).mul(0.5)],
  ]);
}

/**
 * The data's table: what β amplifies is bounded absolutely, in multiples of β. Predictions come from f32 numbers, so in
 * f64 their rounding is what is left: half a unit of 2⁻²⁴ of errors near 1, times β/2.
 */
export function quantityBound(name: string, beta: number, { dtype }: Settings): BoundOptions {
  const absolute = (bound: number) => ({ bound, absolute: true });
  const perBeta = dtype === 'f64' ? 2 ** -24 : bounds.dpo.insidePerBeta;
  if (name === 'inside_term') return absolute(perBeta * beta);
  if (name === 'loss') return absolute(Math.max(bounds.dpo.equalLoss, 0.5 * perBeta * beta));
  if (name === 'model_diff' || name === 'ref_diff') return absolute(2 * perBeta);
  if (name === 'implicit_acc') return absolute(2 ** -24);
  if (name.startsWith('grad')) return { bound: bounds.dpo.gradient };
  return { bound: bounds.unet.output };
}
