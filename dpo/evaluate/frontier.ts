import { TensorError } from '../../tensor/index.ts';

/** A point that no model can be above: the most reward for its divergence from the reference. */
export interface FrontierPoint {
  readonly beta: number;
  /** E_{p*} r */
  readonly reward: number;
  /** KL(p* ‖ reference), in nats */
  readonly kl: number;
  /**
   * (Σ w)²/Σ w² for the weights w = e^{r/β}: of how many samples the averages really consist. Where they are few, the
   * point is not to be trusted; nor can n samples show a divergence above log n.
   */
  readonly effectiveSamples: number;
}

/**
 * The optimum of RLHF, p* ∝ p_ref·e^{r/β}, for several β, from the rewards of samples of the reference alone:
 * E_{p*} r ≈ Σ r·e^{r/β}/Σ e^{r/β} and KL(p* ‖ p_ref) = E_{p*}[r]/β − log mean e^{r/β}.
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

/** Rewards as their mean and how far each is above it. */
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

/** e^x − 1 − x, which near 0 is far smaller than its terms. */
function expm1LessX(x: number): number {
  if (Math.abs(x) > 0.1) return Math.expm1(x) - x;
  let [term, sum] = [(x * x) / 2, 0];
  for (let k = 3; k <= 12; k++) {
    sum += term;
    term *= x / k;
  }
  return sum;
}

/** Σ v·w/Σ w; a weight of 0 counts for nothing whatever its value is. */
function weightedMean(values: Float64Array, weights: Float64Array): number {
  let [sum, total] = [0, 0];
  weights.forEach((weight, i) => {
    total += weight;
    if (weight > 0) sum += weight * (values[i] as number);
  });
  return sum / total;
}

/** A point of the frontier, and how far its reward is above the mean. */
function tiltedPoint({ mean, above }: CentredRewards, beta: number): FrontierPoint & { readonly gain: number } {
  if (!(beta > 0 && Number.isFinite(beta))) throw new TensorError(`rewardKlFrontier: β is above 0, got ${beta}`);
  // Less the largest, so that no exponential overflows.
  const largest = above.reduce((a, b) => Math.max(a, b));
  const below = above.map((reward) => (reward - largest) / beta);
  const weights = below.map(Math.exp);
  const logMean = Math.log(meanOf(weights));
  const tilted = { gain: weightedMean(above, weights), kl: weightedMean(below, weights) - logMean };
  const { gain, kl } = above.every((reward) => Math.abs(reward) < beta) ? littleTilted(above, beta) : tilted;
  const effectiveSamples = weights.reduce((a, b) => a + b) ** 2 / weights.reduce((a, b) => a + b ** 2, 0);
  return { beta, reward: mean + gain, kl: Math.max(0, kl), effectiveSamples, gain };
}

/** Gain and KL where β is above all rewards: both are small then, so terms whose mean is 0 are left out before they cancel. */
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
  /** The run's reward less that of the frontier: what it gives away, as a number below 0. */
  readonly gap: number;
  /**
   * What the run gained over the reference's mean reward, as a share of what the frontier gains; NaN at a divergence of 0,
   * where nothing can be gained. Where `kl` is an upper bound, the true share of what was gained is this one or more.
   */
  readonly efficiency: number;
}

/** The most divergence that rewards of samples can show: log n, n being how many there are for each of the highest. */
export function largestDivergence(rewards: ArrayLike<number>): number {
  const values = checkRewards('largestDivergence', rewards);
  const largest = values.reduce((a, b) => Math.max(a, b));
  return Math.log(values.length / values.filter((value) => value === largest).length);
}

/**
 * Compares a run with the frontier at the run's own divergence.
 * @throws TensorError where the divergence is more than the samples can show.
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
  // KL falls as β grows: halve between bounds on log β until they meet.
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
