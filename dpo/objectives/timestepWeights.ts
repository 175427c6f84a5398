import { type NoiseSchedule, type PredictionType, signalToNoise } from '../../diffusion/index.ts';
import { TensorError } from '../../tensor/index.ts';
import { positive } from './margin.ts';

export const timestepWeightNames = ['constant', 'elbo', 'score-consistent', 'min-snr'] as const;
export type TimestepWeightName = (typeof timestepWeightNames)[number];

export interface TimestepWeightOptions {
  /** s², the variance of the data in each dimension; `score-consistent` needs it. */
  readonly dataVariance?: number | undefined;
  /** γ of `min-snr`; default 5. */
  readonly gamma?: number;
}

/**
 * W_t for each time step: the weight of a pair's error changes in u = −β·W_t·(d_w − d_l), for a network that predicts
 * `prediction`. With a = √ᾱ_t and b = √(1 − ᾱ_t), for errors of ε:
 *
 *   constant           ½, as the paper and its code have it
 *   elbo               T·β_t / (2·α_t·b²): the evidence bound (Ho et al. 2020, equation 12); the ancestral sampler then draws
 *                      from the tilted distribution
 *   score-consistent   v² / (2·s²·a²·b²) with v = a²·s² + b²: then every sampler does, for Gaussian data of variance s²
 *   min-snr            ½·min(SNR, γ)/SNR (Hang et al. 2023)
 *
 * The error of v is a⁻² times that of ε, and the error of x_0 is b²/a² times it, so their weights are a² and a²/b² times these;
 * `constant` is ½ for each, on the errors that the network is trained with.
 */
export function timestepWeights(
  name: TimestepWeightName,
  schedule: NoiseSchedule,
  prediction: PredictionType,
  { dataVariance, gamma = 5 }: TimestepWeightOptions = {},
): Float64Array {
  const { alphasCumprod, betas, numTrainTimesteps } = schedule;
  if (name === 'constant') return new Float64Array(numTrainTimesteps).fill(0.5);
  const snr = signalToNoise(schedule);
  const ofNoise: Readonly<Record<Exclude<TimestepWeightName, 'constant'>, (t: number, a2: number) => number>> = {
    elbo: (t, a2) => {
      const beta = betas[t] as number;
      return (numTrainTimesteps * beta) / (2 * (1 - beta) * (1 - a2));
    },
    'score-consistent': (_, a2) => {
      if (dataVariance === undefined)
        throw new TensorError('timestepWeights: score-consistent weights need dataVariance, the variance of the data');
      positive('timestepWeights', 'dataVariance', dataVariance);
      const v = a2 * dataVariance + (1 - a2);
      return v ** 2 / (2 * dataVariance * a2 * (1 - a2));
    },
    'min-snr': (t) => (0.5 * Math.min(snr[t] as number, gamma)) / (snr[t] as number),
  };
  if (!Object.hasOwn(ofNoise, name))
    throw new TensorError(`timestepWeights: '${String(name)}' is none of ${timestepWeightNames.join(', ')}`);
  return alphasCumprod.map((a2, t) => {
    const forPrediction = { epsilon: 1, v_prediction: a2, sample: a2 / (1 - a2) }[prediction];
    return ofNoise[name](t, a2) * forPrediction;
  });
}
