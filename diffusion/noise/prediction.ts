import { type Tensor, TensorError } from '../../tensor/index.ts';
import type { PredictionType } from './schedule.ts';

/** The factors of a noisy image x = signal·x_0 + noise·ε; of a flow they add up to 1. */
export interface NoiseScales {
  readonly signal: number;
  readonly noise: number;
}

/** √ᾱ and √(1 − ᾱ). */
export const noiseScalesOf = (alphaBar: number): NoiseScales => ({
  signal: Math.sqrt(alphaBar),
  noise: Math.sqrt(1 - alphaBar),
});

/**
 * The image that a prediction means: x_0.
 * @throws TensorError where nothing of the image is left and the prediction is of the noise, which then says nothing.
 */
export function toOriginal(
  prediction: PredictionType,
  x: Tensor,
  output: Tensor,
  { signal, noise }: NoiseScales,
): Tensor {
  switch (prediction) {
    case 'sample':
      return output;
    case 'v_prediction':
      return x.mul(signal).sub(output.mul(noise));
    case 'flow_prediction':
      return x.sub(output.mul(noise));
    case 'epsilon':
      if (signal === 0)
        throw new TensorError(
          'at this time step nothing is left of the image (rescale_betas_zero_snr), so a prediction of the noise says ' +
            'nothing about it: prediction_type must be v_prediction or sample',
        );
      return x.sub(output.mul(noise)).div(signal);
  }
}

/** The noise that a prediction means: ε. */
export function toNoise(prediction: PredictionType, x: Tensor, output: Tensor, { signal, noise }: NoiseScales): Tensor {
  switch (prediction) {
    case 'epsilon':
      return output;
    case 'v_prediction':
      return output.mul(signal).add(x.mul(noise));
    case 'flow_prediction':
      return x.add(output.mul(signal));
    case 'sample':
      return x.sub(output.mul(signal)).div(noise);
  }
}
