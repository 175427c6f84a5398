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
export const rewardKlFrontier = (rewards: ArrayLike<number>, betas: readonly number[]): FrontierPoint[] =>
  betas.map((beta) => tiltedPoint(checkRewards('rewardKlFrontier', rewards), beta));

function checkRewards(what: string, rewards: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(rewards);
  const bad = values.findIndex((reward) => !Number.isFinite(reward));
  if (values.length === 0) throw new TensorError(`${what}: needs rewards of samples of the reference, got none`);
  if (bad >= 0) throw new TensorError(`${what}: reward ${bad} is ${values[bad]}, not finite`);
  return values;
}

function tiltedPoint(rewards: Float64Array, beta: number): FrontierPoint {
  if (!(beta > 0 && Number.isFinite(beta))) throw new TensorError(`rewardKlFrontier: β is above 0, got ${beta}`);
  // Less the largest, so that no exponential overflows.
  const largest = rewards.reduce((a, b) => Math.max(a, b));
  let [sum, squares, weighted] = [0, 0, 0];
  for (const reward of rewards) {
    const weight = Math.exp((reward - largest) / beta);
    sum += weight;
    squares += weight ** 2;
    weighted += weight * (reward - largest);
  }
  const above = weighted / sum;
  return {
    beta,
    reward: largest + above,
    kl: Math.max(0, above / beta - Math.log(sum / rewards.length)),
    effectiveSamples: sum ** 2 / squares,
  };
}

/** A run: the mean reward of its samples, and its divergence from the reference. */
export interface FrontierRun {
  readonly reward: number;
  readonly kl: number;
}

export interface FrontierPlace {
  /** The point of the frontier with the run's divergence. */
  readonly frontier: FrontierPoint;
  /** The run's reward less that of the frontier: what it gives away, as a number below 0. */
  readonly gap: number;
  /** What the run gained over the reference's mean reward, as a share of what the frontier gains; NaN where that is nothing. */
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
  const values = checkRewards('placeOnFrontier', rewards);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const limit = largestDivergence(values);
  if (!(kl >= 0 && kl < limit)) {
    throw new TensorError(
      `placeOnFrontier: the divergence is ${kl}; it must be at least 0 and below ${limit.toFixed(3)}, the most that ${values.length} rewards can show`,
    );
  }
  const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  // KL falls as β grows: halve between bounds on log β until they meet.
  let [low, high] = [Math.log(spread) - 40, Math.log(spread) + 40];
  while (high - low > 1e-12) {
    const middle = (low + high) / 2;
    if (tiltedPoint(values, Math.exp(middle)).kl > kl) low = middle;
    else high = middle;
  }
  const frontier = tiltedPoint(values, Math.exp((low + high) / 2));
  return { frontier, gap: reward - frontier.reward, efficiency: (reward - mean) / (frontier.reward - mean) };
}
