import { TensorError } from '../../tensor/index.ts';
import { checkConfidence, type Figure } from './figure.ts';
import { normalQuantile } from './normalQuantile.ts';

/**
 * The share wins/n with Wilson's score interval (Wilson 1927): the shares p for which wins/n lies within z standard errors
 * √(p(1 − p)/n). Unlike the usual ±z·√(p̂(1 − p̂)/n), it stays between 0 and 1 and is accurate near both. `wins` need not
 * be whole, since ties may count as half a win.
 * @throws TensorError unless 0 ≤ wins ≤ n, n > 0 and 0 < confidence < 1
 */
export function wilsonInterval(wins: number, n: number, confidence = 0.95): Figure {
  checkConfidence('wilsonInterval', confidence);
  if (!(n > 0 && wins >= 0 && wins <= n))
    throw new TensorError(`wilsonInterval: needs 0 ≤ wins ≤ n and n > 0, got ${wins} of ${n}`);
  const z = normalQuantile((1 + confidence) / 2);
  const share = wins / n;
  const centre = (share + z ** 2 / (2 * n)) / (1 + z ** 2 / n);
  const half = (z / (1 + z ** 2 / n)) * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  // If all or none are won, one end is exactly 1 or 0.
  return { value: share, low: wins === 0 ? 0 : centre - half, high: wins === n ? 1 : centre + half };
}

/**
 * The mean of independent observations from 0 to 1, such as each pair's share of draws that rank it as labelled, with
 * Wilson's interval. The interval assumes observations of 0 or 1, whose variance is the largest possible, so it is wide
 * enough for values between.
 */
export const meanShare = (shares: ArrayLike<number>, confidence?: number): Figure =>
  wilsonInterval(
    Array.from(shares).reduce((sum, share) => sum + share, 0),
    shares.length,
    confidence,
  );

/**
 * The p-value of the exact two-sided sign test, the probability of results at least as one-sided if wins and losses are
 * equally likely: 2·P(X ≤ min(wins, losses)), X ~ Binomial(wins + losses, ½), at most 1. Leave ties out of both counts.
 * @throws TensorError if a count is not a whole number from 0
 */
export function signTest(wins: number, losses: number): number {
  const n = wins + losses;
  if (![wins, losses].every((count) => Number.isInteger(count) && count >= 0))
    throw new TensorError(
      `signTest: needs whole numbers of wins and losses, got ${wins} and ${losses}; leave out ties`,
    );
  // Each term's logarithm, log C(n, i) − n·log 2, follows from the one before, so that nothing underflows or overflows.
  let logTerm = -n * Math.LN2;
  let tail = Math.exp(logTerm);
  for (let i = 1; i <= Math.min(wins, losses); i++) {
    logTerm += Math.log(n - i + 1) - Math.log(i);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}

/** The share of pairs won, its interval, the counts and the sign test: the result of `winRate`. */
export interface WinRate extends Figure {
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
  /** p-value of the sign test of wins against losses. */
  readonly pValue: number;
}

/**
 * The share of pairs whose score is higher after training than before; ties count half. `before[i]` and `after[i]` are the
 * scores of one caption and seed. With Wilson's interval, and the sign test of wins against losses.
 * @throws TensorError if the lengths differ, a score is NaN, or there are no scores
 */
export function winRate(before: ArrayLike<number>, after: ArrayLike<number>, confidence = 0.95): WinRate {
  if (before.length !== after.length)
    throw new TensorError(`winRate: ${before.length} scores before and ${after.length} after are not pairs`);
  let [wins, losses] = [0, 0];
  for (let i = 0; i < before.length; i++) {
    const [a, b] = [before[i] as number, after[i] as number];
    if (Number.isNaN(a) || Number.isNaN(b)) throw new TensorError(`winRate: a score of pair ${i} is not a number`);
    if (b > a) wins++;
    if (b < a) losses++;
  }
  const ties = before.length - wins - losses;
  return {
    ...wilsonInterval(wins + ties / 2, before.length, confidence),
    wins,
    losses,
    ties,
    pValue: signTest(wins, losses),
  };
}
