import { TensorError } from '../../tensor/index.ts';

/** The names of the beta schedules, as in diffusers' `beta_schedule`. */
export const betaSchedules = ['linear', 'scaled_linear', 'squaredcos_cap_v2', 'sigmoid'] as const;
/** The name of a beta schedule. */
export type BetaScheduleName = (typeof betaSchedules)[number];

/** Options of `noiseSchedule`, as those of diffusers' schedulers. */
export interface NoiseScheduleOptions {
  /** T; default 1000. */
  readonly numTrainTimesteps?: number;
  /** Default `linear`. */
  readonly betaSchedule?: BetaScheduleName;
  /** Default 0.0001. */
  readonly betaStart?: number;
  /** Default 0.02. */
  readonly betaEnd?: number;
  /** The betas themselves, instead of a schedule with a name. */
  readonly trainedBetas?: readonly number[] | null;
  /** Whether betas are changed so that nothing of the image is left at the last step (Lin et al. 2023). */
  readonly rescaleBetasZeroSnr?: boolean;
}

/**
 * How much noise there is at each time step t = 0 … T − 1, in f64 on the host: x_t = signal_t·x_0 + noise_t·ε. (diffusers
 * keeps these tables in f32, which differ from the exact ones by up to 1e-6.)
 */
export interface NoiseSchedule {
  readonly numTrainTimesteps: number;
  readonly betas: Float64Array;
  /** ᾱ_t, the product of 1 − β up to t: signal²/(signal² + noise²). */
  readonly alphasCumprod: Float64Array;
  /** √ᾱ_t; of a flow 1 − σ_t. */
  readonly signal: Float64Array;
  /** √(1 − ᾱ_t); of a flow σ_t. */
  readonly noise: Float64Array;
  /** Of a flow: what networks are told at each time step, T·σ_t. */
  readonly modelTimesteps?: Float64Array;
  /** Of a flow: how much of the way is spent at the noisy end. */
  readonly shift?: number;
}

/** Whether something, such as the source of a sampler, is a noise schedule rather than a configuration. */
export const isNoiseSchedule = (value: unknown): value is NoiseSchedule =>
  typeof value === 'object' &&
  value !== null &&
  'alphasCumprod' in value &&
  value.alphasCumprod instanceof Float64Array;

const linspace = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (count === 1 ? from : from + ((to - from) * i) / (count - 1)));

/** The betas with a name, as diffusers defines them. */
function namedBetas(name: BetaScheduleName, start: number, end: number, count: number): number[] {
  switch (name) {
    case 'linear':
      return linspace(start, end, count);
    case 'scaled_linear':
      return linspace(Math.sqrt(start), Math.sqrt(end), count).map((root) => root ** 2);
    case 'squaredcos_cap_v2': {
      // ᾱ(s) = cos²((s + 0.008)/1.008·π/2) (Nichol & Dhariwal 2021), with betas up to 0.999.
      const alphaBar = (s: number) => Math.cos((((s + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Array.from({ length: count }, (_, i) =>
        Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
      );
    }
    case 'sigmoid':
      return linspace(-6, 6, count).map((x) => (end - start) / (1 + Math.exp(-x)) + start);
    default:
      throw new TensorError(
        `noiseSchedule: the beta schedule '${String(name)}' is not known; there are: ${betaSchedules.join(', ')}`,
      );
  }
}

const cumulativeProduct = (betas: ArrayLike<number>): Float64Array => {
  let product = 1;
  return Float64Array.from(betas, (beta) => {
    product *= 1 - beta;
    return product;
  });
};

/** The betas of cumulative products. Where nothing is left of the image, nothing more can go: β is 0 there. */
export const betasOf = (alphasCumprod: Float64Array): Float64Array =>
  alphasCumprod.map((bar, t) => {
    const before = t === 0 ? 1 : (alphasCumprod[t - 1] as number);
    return before === 0 ? 0 : 1 - bar / before;
  });

/**
 * √ᾱ shifted and stretched so that it ends at 0 and begins where it did (Lin et al. 2023, algorithm 1), as betas.
 * @throws TensorError where it ends where it began, so that no stretching can help.
 */
function withZeroTerminalSnr(betas: ArrayLike<number>): Float64Array {
  const roots = cumulativeProduct(betas).map(Math.sqrt);
  const [first, last] = [roots[0] as number, roots.at(-1) as number];
  if (!(first > last))
    throw new TensorError(
      `noiseSchedule: rescaleBetasZeroSnr (rescale_betas_zero_snr) needs a signal that falls, but √ᾱ is ${first} at the first and ` +
        `${last} at the last of ${roots.length} time steps`,
    );
  return betasOf(roots.map((root) => (((root - last) * first) / (first - last)) ** 2));
}

/** A hundred times what models are trained with; a schedule has tables of this length. */
const mostTrainTimesteps = 100_000;

/** Refuses a number of time steps that is none, or so large that its tables would take gigabytes. */
export function checkTrainTimesteps(what: string, count: number): void {
  if (!Number.isInteger(count) || count < 1)
    throw new TensorError(`${what}: numTrainTimesteps must be a whole number from 1, got ${count}`);
  if (count > mostTrainTimesteps)
    throw new TensorError(
      `${what}: numTrainTimesteps (num_train_timesteps) is ${count}, and at most ${mostTrainTimesteps} are supported`,
    );
}

/**
 * The noise schedule x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε with ᾱ_t = Π_{s≤t} (1 − β_s) (Ho et al. 2020; diffusers' schedulers).
 * @throws TensorError for betas outside [0, 1], and for a number of them or of time steps that does not fit
 */
export function noiseSchedule({
  numTrainTimesteps = 1000,
  betaSchedule = 'linear',
  betaStart = 1e-4,
  betaEnd = 0.02,
  trainedBetas,
  rescaleBetasZeroSnr = false,
}: NoiseScheduleOptions = {}): NoiseSchedule {
  checkTrainTimesteps('noiseSchedule', numTrainTimesteps);
  const plain = trainedBetas ?? namedBetas(betaSchedule, betaStart, betaEnd, numTrainTimesteps);
  if (plain.length !== numTrainTimesteps)
    throw new TensorError(`noiseSchedule: there are ${plain.length} betas for ${numTrainTimesteps} time steps`);
  const wrong = plain.findIndex((beta) => !(beta >= 0 && beta <= 1));
  if (wrong >= 0) throw new TensorError(`noiseSchedule: beta ${wrong} is ${plain[wrong]}, and must lie in [0, 1]`);
  const betas = rescaleBetasZeroSnr ? withZeroTerminalSnr(plain) : Float64Array.from(plain);
  const alphasCumprod = cumulativeProduct(betas);
  return {
    numTrainTimesteps,
    betas,
    alphasCumprod,
    signal: alphasCumprod.map(Math.sqrt),
    noise: alphasCumprod.map((bar) => Math.sqrt(1 - bar)),
  };
}

/** Signal to noise at each time step: ᾱ_t / (1 − ᾱ_t). */
export const signalToNoise = ({ alphasCumprod }: NoiseSchedule): Float64Array =>
  alphasCumprod.map((bar) => bar / (1 - bar));

/** What a schedule has at a time step, as ᾱ; throws for a time step that is none. */
export function valueAt(
  schedule: NoiseSchedule,
  table: 'alphasCumprod' | 'signal' | 'noise' | 'modelTimesteps',
  t: number,
): number {
  const value = schedule[table]?.[t];
  if (value === undefined)
    throw new TensorError(
      `time step ${t} is not one of the schedule's: whole numbers from 0 to ${schedule.numTrainTimesteps - 1}`,
    );
  return value;
}

/** A time step's ᾱ. */
export const alphaBarAt = (schedule: NoiseSchedule, t: number): number => valueAt(schedule, 'alphasCumprod', t);

/**
 * Weights of the error of a prediction that make all signal-to-noise ratios up to γ count alike (Hang et al. 2023,
 * "Efficient diffusion training via min-SNR weighting strategy"): min(SNR, γ) over SNR for ε, over SNR + 1 for v,
 * min(SNR, γ) for x_0, and noise² times that for the velocity of a flow.
 */
export const minSnrWeights = (schedule: NoiseSchedule, gamma: number, prediction: PredictionType): Float64Array =>
  signalToNoise(schedule).map((snr, t) => {
    // Written so that a step without any signal has a weight too: the limit, 1.
    if (prediction === 'epsilon') return Math.min(1, gamma / snr);
    const least = Math.min(snr, gamma);
    if (prediction === 'flow_prediction') return least * (schedule.noise[t] as number) ** 2;
    return prediction === 'sample' ? least : least / (snr + 1);
  });

/** What networks on a noise schedule predict. */
export const predictionTypes = ['epsilon', 'v_prediction', 'sample'] as const;
/** The prediction of a network on a noise schedule. */
export type NoisePredictionType = (typeof predictionTypes)[number];

/**
 * What a network predicts: the noise ε, the velocity v = √ᾱ·ε − √(1 − ᾱ)·x_0 (Salimans & Ho 2022), x_0, or the velocity of a
 * flow, ε − x_0.
 */
export type PredictionType = NoisePredictionType | 'flow_prediction';
