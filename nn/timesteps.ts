import { concat, cos, type FloatDType, pad, sin, Tensor, tensor } from '../tensor/index.ts';
import { activation as activationNamed } from './activations.ts';
import { linear } from './linear.ts';
import { module } from './module.ts';

export interface TimestepEmbeddingOptions {
  /** Cosines before sines (Stable Diffusion), or after (DDPM); default false. */
  readonly flipSinToCos?: boolean;
  /** Subtracted from the number of frequencies where they are spaced: 0 for Stable Diffusion, 1 for DDPM. Default 1. */
  readonly downscaleFreqShift?: number;
  /** Of the longest wave; default 10000. */
  readonly maxPeriod?: number;
  /** Default f32. */
  readonly dtype?: FloatDType;
}

/** A number as the sum of one with 12 significant bits, whose products with whole numbers up to 4096 are exact in f32, and the rest. */
function splitFrequency(frequency: number): { readonly high: number; readonly low: number } {
  const unit = 2 ** (Math.floor(Math.log2(frequency)) - 11);
  const high = Math.round(frequency / unit) * unit;
  return { high, low: frequency - high };
}

/**
 * Sines and cosines of time steps [N] at geometrically spaced frequencies: [N, width] (Vaswani et al. 2017; diffusers'
 * `get_timestep_embedding`). Numbers are computed in f64 and rounded once. Tensors, for time steps that are only known on
 * a device, are computed there, and as exactly as f32 allows for whole numbers up to 4096.
 */
export function timestepEmbedding(
  timesteps: readonly number[] | Tensor,
  width: number,
  { flipSinToCos = false, downscaleFreqShift = 1, maxPeriod = 10_000, dtype = 'f32' }: TimestepEmbeddingOptions = {},
): Tensor {
  const half = Math.floor(width / 2);
  const frequencies = Array.from({ length: half }, (_, i) => maxPeriod ** (-i / (half - downscaleFreqShift)));
  const [sines, cosines] = !(timesteps instanceof Tensor)
    ? ([Math.sin, Math.cos] as const).map((wave) =>
        tensor(
          timesteps.map((t: number) => frequencies.map((frequency) => wave(t * frequency))),
          { dtype },
        ).reshape([timesteps.length, half]),
      )
    : onDevice(timesteps, frequencies, dtype);
  const both = concat((flipSinToCos ? [cosines, sines] : [sines, cosines]) as Tensor[], 1);
  const rest = width % 2;
  return rest === 0
    ? both
    : pad(both, [
        [0, 0],
        [0, rest],
      ]);
}

/** sin(a + b) and cos(a + b) where a = t·high is exact and b = t·low is small. */
function onDevice(timesteps: Tensor, frequencies: readonly number[], dtype: FloatDType): readonly [Tensor, Tensor] {
  const wide = dtype === 'f64' ? 'f64' : 'f32';
  const t = timesteps.cast(wide).reshape([timesteps.size, 1]);
  const parts = frequencies.map(splitFrequency);
  const row = (values: number[]) => tensor(values, { dtype: wide });
  const a = t.mul(row(parts.map(({ high }) => high)));
  const b = t.mul(row(parts.map(({ low }) => low)));
  const sines = sin(a)
    .mul(cos(b))
    .add(cos(a).mul(sin(b)));
  const cosines = cos(a)
    .mul(cos(b))
    .sub(sin(a).mul(sin(b)));
  return [sines.cast(dtype), cosines.cast(dtype)];
}

/** Two linear layers that turn a sinusoidal embedding [N, inputs] into what blocks take: [N, width] (TimestepEmbedding). */
export const timestepMlp = (inputs: number, width: number, { activation = 'silu', outputs = width } = {}) => {
  const act = activationNamed(activation);
  return module(
    { linear_1: linear(inputs, width), linear_2: linear(width, outputs) },
    ({ linear_1, linear_2 }, x: Tensor): Tensor => linear_2(act(linear_1(x))),
  );
};
