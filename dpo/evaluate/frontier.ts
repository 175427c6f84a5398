import { TensorError } from '../../tensor/index.ts';

/** A point of the frontier: the highest reward that a model can reach at a given divergence from the reference. */
export interface FrontierPoint {
  readonly beta: number;
  /** E_{p*} r */
  readonly reward: number;
  /** KL(p* ‖ reference), in nats */
  readonly kl: number;
  /**
   * The effective sample size (Σ w)²/Σ w² of the weights w = e^{r/β}. Estimates from a small one are unreliable, and n
   * samples cannot resolve a divergence above log n.
   */
  readonly effectiveSamples: number;
}

/**
 * The optimum of RLHF, p* ∝ p_ref·e^{r/β}, for several β, from the rewards of samples of the reference alone:
 * E_{p*} r ≈ Σ r·e^{r/β}/Σ e^{r/β} and KL(p* ‖ p_ref) = E_{p*}[r]/β − log mean e^{r/β}.
 * @throws TensorError if rewards are missing or not finite, or a β is not a finite number above 0
 */
export function rewardKlFrontier(rewards: ArrayLike<number>, betas: readonly number[]): FrontierPoint[] {
  const centred = centredRewards('rewardKlFrontier', rewards);
  return betas.map((beta) => {
    const { gain: _, ...point } = tiltedPoint(centred, beta);
    return point;
  });
}

function checkRewards(what: string, rewards: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(rewards);
  const bad = values.findIndex((reward) => !Number.isFinite(reward));
  if (values.length === 0) throw new TensorError(`${what}: needs rewards of samples of the reference, got none`);
  if (bad >= 0) throw new TensorError(`${what}: reward ${bad} is ${values[bad]}, not finite`);
  return values;
}

/** Rewards as their mean, and each reward less the mean. */
interface CentredRewards {
  readonly mean: number;
  readonly above: Float64Array;
}

function centredRewards(what: string, rewards: ArrayLike<number>): CentredRewards {
  const values = checkRewards(what, rewards);
  const mean = meanOf(values);
  return { mean, above: values.map((reward) => reward - mean) };
}

const meanOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** e^x − 1 − x, without cancellation near 0. */
function expm1LessX(x: number): number {
  if (Math.abs(x) > 0.1) return Math.expm1(x) - x;
  let [term, sum] = [(x * x) / 2, 0];
  for (let k = 3; k <= 12; k++) {
    sum += term;
    term *= x / k;
  }
  return sum;
}

/** Σ v·w/Σ w, ignoring values with weight 0 even if they are not finite. */
function weightedMean(values: Float64Array, weights: Float64Array): number {
  let [sum, total] = [0, 0];
  weights.forEach((weight, i) => {
    total += weight;
    if (weight > 0) sum += weight * (values[i] as number);
  });
  return sum / total;
}

/** A point of the frontier, with `gain`, its reward less the mean reward. */
function tiltedPoint({ mean, above }: CentredRewards, beta: number): FrontierPoint & { readonly gain: number } {
  if (!(beta > 0 && Number.isFinite(beta))) throw new TensorError(`rewardKlFrontier: β is above 0, got ${beta}`);
  // Subtract the largest reward, so that no exponential overflows.
  const largest = above.reduce((a, b) => Math.max(a, b));
  const below = above.map((reward) => (reward - largest) / beta);
  const weights = below.map(Math.exp);
  const logMean = Math.log(meanOf(weights));
  const tilted = { gain: weightedMean(above, weights), kl: weightedMean(below, weights) - logMean };
  const { gain, kl } = above.every((reward) => Math.abs(reward) < beta) ? littleTilted(above, beta) : tilted;
  const effectiveSamples = weights.reduce((a, b) => a + b) ** 2 / weights.reduce((a, b) => a + b ** 2, 0);
  return { beta, reward: mean + gain, kl: Math.max(0, kl), effectiveSamples, gain };
}

/** Gain and KL for β above all |r − mean|. Both are small there, so terms with mean 0 are left out before they cancel. */
function littleTilted(above: Float64Array, beta: number) {
  const scaled = above.map((reward) => reward / beta);
  const logMean = Math.log1p(meanOf(scaled.map(expm1LessX)));
  const tilted = meanOf(scaled.map((x) => x * Math.expm1(x - logMean)));
  return { gain: beta * tilted, kl: tilted - logMean };
}

/** A run: the mean reward of its samples, and its divergence from the reference. */
export interface FrontierRun {
  readonly reward: number;
  readonly kl: number;
}

/** A run compared with the frontier at the same divergence: the result of `placeOnFrontier`. */
export interface FrontierPlace {
  /** The point of the frontier with the run's divergence. */
  readonly frontier: FrontierPoint;
  /** The run's reward less the frontier's reward; below 0 for a run below the frontier. */
  readonly gap: number;
  /**
   * The run's gain over the reference's mean reward, as a share of the frontier's gain; NaN at a divergence of 0, where no
   * gain is possible. If `kl` is an upper bound, a positive share is a lower bound.
   */
  readonly efficiency: number;
}

/**
 * The largest divergence that rewards of samples can resolve: log(n/k), where k of the n samples have the highest reward.
 * @throws TensorError if rewards are missing or not finite
 */
export function largestDivergence(rewards: ArrayLike<number>): number {
  const values = checkRewards('largestDivergence', rewards);
  const largest = values.reduce((a, b) => Math.max(a, b));
  return Math.log(values.length / values.filter((value) => value === largest).length);
}

/**
 * Compares a run with the frontier at the run's own divergence.
 * @throws TensorError if rewards are missing or not finite, or `kl` is below 0 or not below `largestDivergence(rewards)`
 */
export function placeOnFrontier(rewards: ArrayLike<number>, { reward, kl }: FrontierRun): FrontierPlace {
  const centred = centredRewards('placeOnFrontier', rewards);
  const { mean, above } = centred;
  if (kl === 0) {
    const frontier = { beta: Number.POSITIVE_INFINITY, reward: mean, kl, effectiveSamples: above.length };
    return { frontier, gap: reward - mean, efficiency: Number.NaN };
  }
  const limit = largestDivergence(rewards);
  if (!(kl > 0 && kl < limit)) {
    throw new TensorError(
      `placeOnFrontier: the divergence is ${kl}; it must be at least 0 and below ${limit.toFixed(3)}, the most that ${above.length} rewards can show`,
    );
  }
  // KL falls as β grows: bisect on log β.
  const widest = Math.log(above.reduce((most, one) => Math.max(most, Math.abs(one)), 0));
  let [low, high] = [widest - 40, widest + 340];
  while (high - low > 1e-12) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (tiltedPoint(centred, Math.exp(middle)).kl > kl) low = middle;
    else high = middle;
  }
  const { gain, ...frontier } = tiltedPoint(centred, Math.exp((low + high) / 2));
  return { frontier, gap: reward - frontier.reward, efficiency: (reward - mean) / gain };
}
