import { TensorError } from '../../tensor/index.ts';

/** A value with the ends of its confidence interval. */
export interface Figure {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Throws a TensorError unless 0 < confidence < 1. */
export function checkConfidence(what: string, confidence: number): void {
  if (!(confidence > 0 && confidence < 1))
    throw new TensorError(`${what}: a confidence lies between 0 and 1, got ${confidence}; 0.95 means 95 %`);
}

/** The q-quantile of sorted numbers, 0 ≤ q ≤ 1, interpolated linearly (type 7 of Hyndman & Fan 1996). */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const at = q * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number];
  return below + (above - below) * (at - Math.floor(at));
}
