import { minSnrWeights, type NoiseSchedule, type PredictionType } from '../../diffusion/index.ts';
import { TensorError } from '../../tensor/index.ts';
import { positive } from './ranges.ts';

/** Names of the weights of `timestepWeights`. */
export const timestepWeightNames = ['constant', 'elbo', 'score-consistent', 'min-snr'] as const;
/** A name in `timestepWeightNames`. */
export type TimestepWeightName = (typeof timestepWeightNames)[number];

/** Options of `timestepWeights`. */
export interface TimestepWeightOptions {
  /** s², the variance of the data per dimension; `score-consistent` needs it. */
  readonly dataVariance?: number | undefined;
  /** γ of `min-snr`; default 5. */
  readonly gamma?: number;
}

/**
 * W_t for each time step t, [T]: the weight in u = −β·W_t·(d_w − d_l) for a network that predicts `prediction`. With
 * x_t = a·x_0 + b·ε, for errors of ε:
 *
 *   constant           ½, as in Wallace et al. 2023 and its code
 *   elbo               T·β_t / (2·α_t·(1 − ᾱ_t)), the evidence bound (Ho et al. 2020, equation 12): the optimum's ancestral
 *                      sampler draws from the tilted distribution
 *   score-consistent   v² / (2·s²·a²·b²) with v = a²·s² + b²: every sampler of the optimum does, for Gaussian data of variance s²
 *   min-snr            ½·min(SNR, γ)/SNR (Hang et al. 2023)
 *
 * The errors of v and of a flow's velocity are a⁻² times the error of ε, and the error of x_0 is b²/a² times it, so their weights
 * are a² and a²/b² times these. `constant` is ½ for each, on the errors that the network is trained with.
 * @throws TensorError for an unknown name or invalid option, and where a weight is infinite: the network predicts ε at a time step
 *   without any signal
 */
export function timestepWeights(
  name: TimestepWeightName,
  schedule: NoiseSchedule,
  prediction: PredictionType,
  { dataVariance, gamma = 5 }: TimestepWeightOptions = {},
): Float64Array {
  const { alphasCumprod, betas, signal, noise, numTrainTimesteps } = schedule;
  const squares = (t: number): readonly [number, number] => [(signal[t] as number) ** 2, (noise[t] as number) ** 2];
  /** Converts W_t for errors of velocities, which is finite without signal (a = 0), to errors of `prediction`. */
  function ofVelocity(weight: (t: number, a2: number, b2: number) => number): Float64Array {
    const weights = Float64Array.from({ length: numTrainTimesteps }, (_, t) => {
      const [a2, b2] = squares(t);
      const factor = { epsilon: 1 / a2, v_prediction: 1, flow_prediction: 1, sample: 1 / b2 }[prediction];
      return weight(t, a2, b2) * factor;
    });
    const bad = weights.findIndex((one) => !Number.isFinite(one));
    if (bad >= 0)
      throw new TensorError(
        `timestepWeights: ${name} has no finite weight at time step ${bad}, where nothing is left of the image and ` +
          'the network predicts the noise; use constant or min-snr',
      );
    return weights;
  }
  switch (name) {
    case 'constant':
      return new Float64Array(numTrainTimesteps).fill(0.5);
    case 'elbo':
      // a²/α_t = ᾱ_{t−1}·(a² + b²)
      return ofVelocity((t, a2, b2) => {
        const before = t === 0 ? 1 : (alphasCumprod[t - 1] as number);
        const left = 1 - (alphasCumprod[t] as number);
        return (numTrainTimesteps * (betas[t] as number) * before * (a2 + b2)) / (2 * left);
      });
    case 'score-consistent':
      if (dataVariance === undefined)
        throw new TensorError('timestepWeights: score-consistent weights need dataVariance, the variance of the data');
      positive('timestepWeights', 'dataVariance', dataVariance);
      return ofVelocity((_, a2, b2) => (a2 * dataVariance + b2) ** 2 / (2 * dataVariance * b2));
    case 'min-snr':
      positive('timestepWeights', 'gamma', gamma);
      return minSnrWeights(schedule, gamma, prediction).map((weight) => weight / 2);
    default:
      throw new TensorError(`timestepWeights: '${String(name)}' is none of ${timestepWeightNames.join(', ')}`);
  }
}
