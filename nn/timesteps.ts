import { concat, cos, type FloatDType, pad, round, sin, Tensor, TensorError, tensor } from '../tensor/index.ts';
import { activation as activationNamed } from './activations.ts';
import { linear } from './linear.ts';
import { module } from './module.ts';

/** Options of the sinusoidal embedding of time steps. */
export interface TimestepEmbeddingOptions {
  /** Cosines before sines (Stable Diffusion), or after (DDPM); default false. */
  readonly flipSinToCos?: boolean;
  /** Subtracted from the number of frequencies where they are spaced: 0 for Stable Diffusion, 1 for DDPM. Default 1. */
  readonly downscaleFreqShift?: number;
  /** What angles are multiplied by; default 1. */
  readonly scale?: number;
  /** Of the longest wave; default 10000. */
  readonly maxPeriod?: number;
  /** Default f32. */
  readonly dtype?: FloatDType;
}

/**
 * Sines and cosines of time steps at geometrically spaced frequencies: one number, N of them or a tensor of N → [N, width]
 * (Vaswani et al. 2017; diffusers' `get_timestep_embedding`). Numbers are computed in f64 and rounded once. Tensors, for
 * time steps that are only known on a device, are computed there, for |t| up to 4096 within 7e-7 in f32.
 *
 * @throws TensorError where the width leaves no frequencies to space.
 */
export function timestepEmbedding(
  timesteps: number | readonly number[] | Tensor,
  width: number,
  {
    flipSinToCos = false,
    downscaleFreqShift = 1,
    scale = 1,
    maxPeriod = 10_000,
    dtype = 'f32',
  }: TimestepEmbeddingOptions = {},
): Tensor {
  const least = 2 * (Math.floor(downscaleFreqShift) + 1);
  if (!Number.isInteger(width) || width < least)
    throw new TensorError(
      `timestepEmbedding: width must be a whole number from ${least}, got ${width} (downscaleFreqShift is ${downscaleFreqShift})`,
    );
  const half = Math.floor(width / 2);
  const frequencies = Array.from({ length: half }, (_, i) => scale * maxPeriod ** (-i / (half - downscaleFreqShift)));
  const waves =
    timesteps instanceof Tensor
      ? onDevice(timesteps, frequencies, dtype)
      : onHost(typeof timesteps === 'number' ? [timesteps] : timesteps, frequencies, dtype);
  const both = concat(flipSinToCos ? [waves.cosines, waves.sines] : [waves.sines, waves.cosines], 1);
  const rest = width % 2;
  return rest === 0
    ? both
    : pad(both, [
        [0, 0],
        [0, rest],
      ]);
}

/** Sines and cosines of the products of N time steps and F frequencies: [N, F] each. */
interface Waves {
  readonly sines: Tensor;
  readonly cosines: Tensor;
}

function onHost(timesteps: readonly number[], frequencies: readonly number[], dtype: FloatDType): Waves {
  const table = (wave: (angle: number) => number): Tensor =>
    tensor(
      timesteps.flatMap((t) => frequencies.map((frequency) => wave(t * frequency))),
      { dtype },
    ).reshape([timesteps.length, frequencies.length]);
  return { sines: table(Math.sin), cosines: table(Math.cos) };
}

/** A number as the sum of one with 12 significant bits and the rest (Veltkamp 1968). */
function splitFrequency(frequency: number): { readonly high: number; readonly low: number } {
  const shifted = frequency * (2 ** 41 + 1);
  const high = shifted - (shifted - frequency);
  return { high, low: frequency - high };
}

/**
 * An angle near 1000 keeps no more than 4 digits behind the point in f32, so it is never formed. Time step and
 * frequency are each cut in two, t = whole + part and f = high + low, such that a = whole·high is exact; what is left,
 * b = part·high + t·low, is small. Then sin(a + b) and cos(a + b) follow from the sines and cosines of a and b.
 */
function onDevice(timesteps: Tensor, frequencies: readonly number[], dtype: FloatDType): Waves {
  const wide = dtype === 'f64' ? 'f64' : 'f32';
  const t = timesteps.cast(wide).reshape([timesteps.size, 1]);
  const whole = round(t);
  const parts = frequencies.map(splitFrequency);
  const high = tensor(
    parts.map((part) => part.high),
    { dtype: wide },
  );
  const low = tensor(
    parts.map((part) => part.low),
    { dtype: wide },
  );
  const a = whole.mul(high);
  const b = t.sub(whole).mul(high).add(t.mul(low));
  const sines = sin(a)
    .mul(cos(b))
    .add(cos(a).mul(sin(b)));
  const cosines = cos(a)
    .mul(cos(b))
    .sub(sin(a).mul(sin(b)));
  return { sines: sines.cast(dtype), cosines: cosines.cast(dtype) };
}

/** Options of `timestepMlp`. */
export interface TimestepMlpOptions {
  /** Default `silu`. */
  readonly activation?: string;
  /** Width of what comes out; default `width`. */
  readonly outputs?: number;
  /** Width of a condition, such as a guidance scale's embedding, that is projected and added to what comes in. */
  readonly conditionDim?: number | undefined;
}

/**
 * Two linear layers that turn a sinusoidal embedding [N, inputs] into what blocks take: [N, outputs] (diffusers'
 * TimestepEmbedding). A condition is [N, conditionDim], and may be left out.
 */
export function timestepMlp(
  inputs: number,
  width: number,
  { activation = 'silu', outputs = width, conditionDim }: TimestepMlpOptions = {},
) {
  const act = activationNamed(activation);
  return module(
    {
      linear_1: linear(inputs, width),
      cond_proj: conditionDim === undefined ? undefined : linear(conditionDim, inputs, { bias: false }),
      linear_2: linear(width, outputs),
    },
    ({ linear_1, cond_proj, linear_2 }, x: Tensor, condition?: Tensor): Tensor => {
      if (condition !== undefined && cond_proj === undefined)
        throw new TensorError('timestepMlp: this layer takes no condition: conditionDim is not given');
      const given = condition === undefined ? undefined : cond_proj?.(condition);
      return linear_2(act(linear_1(given === undefined ? x : x.add(given))));
    },
  );
}
