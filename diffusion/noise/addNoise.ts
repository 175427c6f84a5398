import { ShapeError, Tensor, TensorError, take, tensor, typeOf } from '../../tensor/index.ts';
import { type NoiseSchedule, type PredictionType, valueAt } from './schedule.ts';

/** One time step for each image: numbers, or i32[N] on a device. */
export type BatchTimesteps = readonly number[] | Tensor;

/** What a schedule's table holds at time steps: [N], in f64 or f32. */
const valuesAt = (
  schedule: NoiseSchedule,
  table: 'signal' | 'noise' | 'modelTimesteps',
  timesteps: BatchTimesteps,
  dtype: 'f32' | 'f64',
): Tensor =>
  timesteps instanceof Tensor
    ? take(tensor(schedule[table] ?? [], { dtype }), timesteps)
    : tensor(
        timesteps.map((t) => valueAt(schedule, table, t)),
        { dtype },
      );

/** The factors of signal and noise, √ᾱ_t and √(1 − ᾱ_t) or a flow's 1 − σ_t and σ_t, shaped to be multiplied with images like x. */
export function noiseFactors(
  schedule: NoiseSchedule,
  timesteps: BatchTimesteps,
  x: Tensor,
): { readonly signal: Tensor; readonly noise: Tensor } {
  const count = timesteps instanceof Tensor ? timesteps.size : timesteps.length;
  if (x.rank === 0 || count !== x.shape[0]) {
    throw new ShapeError(`there are ${count} time steps for ${typeOf(x)}: give one for each of its first axis`);
  }
  const factors = (table: 'signal' | 'noise'): Tensor =>
    valuesAt(schedule, table, timesteps, x.dtype === 'f64' ? 'f64' : 'f32')
      .reshape([count, ...x.shape.slice(1).map(() => 1)])
      .cast(x.dtype);
  return { signal: factors('signal'), noise: factors('noise') };
}

/** x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε for images [N, …] and as much noise (Ho et al. 2020, equation 4); of a flow (1 − σ_t)·x_0 + σ_t·ε. */
export function addNoise(schedule: NoiseSchedule, original: Tensor, noise: Tensor, timesteps: BatchTimesteps): Tensor {
  const factors = noiseFactors(schedule, timesteps, original);
  return original.mul(factors.signal).add(noise.mul(factors.noise));
}

/** v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0. */
export function velocity(schedule: NoiseSchedule, original: Tensor, noise: Tensor, timesteps: BatchTimesteps): Tensor {
  const factors = noiseFactors(schedule, timesteps, original);
  return noise.mul(factors.signal).sub(original.mul(factors.noise));
}

/** What a network with this kind of prediction is to predict. */
export function predictionTarget(
  prediction: PredictionType,
  schedule: NoiseSchedule,
  original: Tensor,
  noise: Tensor,
  timesteps: BatchTimesteps,
): Tensor {
  switch (prediction) {
    case 'epsilon':
      return noise;
    case 'sample':
      return original;
    case 'v_prediction':
      return velocity(schedule, original, noise, timesteps);
    case 'flow_prediction':
      return noise.sub(original);
    default:
      throw new TensorError(
        `predictionTarget: '${String(prediction)}' is not epsilon, v_prediction, sample or flow_prediction`,
      );
  }
}

/** What a network is told of time steps: themselves, or of a flow T·σ_t. */
export const modelTimesteps = (schedule: NoiseSchedule, timesteps: BatchTimesteps): BatchTimesteps =>
  schedule.modelTimesteps === undefined ? timesteps : valuesAt(schedule, 'modelTimesteps', timesteps, 'f32');
