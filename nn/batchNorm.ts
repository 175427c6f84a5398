import { ones, type Shape, ShapeError, sqrt, stopGradient, type Tensor, typeOf, zeros } from '../tensor/index.ts';
import type { InitOptions, Layer } from './layer.ts';
import type { NormOptions, NormParams } from './norms.ts';
import { initNorm } from './norms.ts';
import { widened } from './trees.ts';

/** What batch normalisation has seen of its inputs; not trained, so not among the parameters. Named as in PyTorch. */
export interface BatchStatistics {
  /** [channels] */
  readonly running_mean: Tensor;
  /** [channels], unbiased */
  readonly running_var: Tensor;
}

/** Options of `batchNorm`. */
export interface BatchNormOptions extends NormOptions {
  /** Share of the new statistics in the running ones; default 0.1. */
  readonly momentum?: number;
}

/** What comes out, and the statistics to go on with: outside training, those that came in. */
export interface BatchNormOutput {
  readonly output: Tensor;
  readonly statistics: BatchStatistics;
}

/** A batch normalisation: takes and returns running statistics, which are no parameters. */
export interface BatchNorm
  extends Layer<NormParams, [x: Tensor, statistics: BatchStatistics, training?: boolean], BatchNormOutput> {
  /** Statistics before anything was seen: mean 0 and variance 1. */
  initStatistics(options?: InitOptions): BatchStatistics;
}

/**
 * Batch normalisation of [N, channels, …] (Ioffe & Szegedy 2015; PyTorch's BatchNorm1d and BatchNorm2d). In training each
 * channel is normalised by the mean and the biased variance over the batch and all places, and the running statistics
 * move towards the mean and the unbiased variance; otherwise it is normalised by the running statistics.
 * @throws ShapeError where training has one number for a channel, which has no variance.
 */
export const batchNorm = (
  channels: number,
  { eps = 1e-5, affine = true, momentum = 0.1 }: BatchNormOptions = {},
): BatchNorm => ({
  init: (_, options) => initNorm(channels, affine, options),
  initStatistics: ({ dtype = 'f32' } = {}) => ({
    running_mean: zeros([channels], { dtype }),
    running_var: ones([channels], { dtype }),
  }),
  apply({ weight, bias }, x, statistics, training = false) {
    if (x.rank < 2 || x.shape[1] !== channels)
      throw new ShapeError(`batchNorm: needs [N, ${channels}, …], got ${typeOf(x)}`);
    const wide = widened(x);
    const own = (one: Tensor): Tensor => one.cast(wide.dtype).reshape([channels, ...x.shape.slice(2).map(() => 1)]);
    const { mean, variance, next } = training
      ? batchStatistics(wide, statistics, momentum)
      : { mean: statistics.running_mean, variance: statistics.running_var, next: statistics };
    // weight/√(variance + ε) is a number for each channel: one multiplication for an element.
    const inverse = sqrt(variance.cast(wide.dtype).add(eps)).reciprocal();
    const scale = weight === undefined ? inverse : weight.cast(wide.dtype).mul(inverse);
    const scaled = wide.sub(own(mean)).mul(own(scale));
    const output = bias === undefined ? scaled : scaled.add(own(bias));
    return { output: output.cast(x.dtype), statistics: next };
  },
});

/** Mean and biased variance of each channel, and the running statistics after them. */
function batchStatistics(x: Tensor, { running_mean, running_var }: BatchStatistics, momentum: number) {
  const axes = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
  const count = countOf(x.shape);
  if (count < 2)
    throw new ShapeError(`batchNorm: training needs more than one number for each channel, got ${typeOf(x)}`);
  const [mean, variance] = [x.mean(axes), x.variance(axes)];
  // running ← (1 − momentum)·running + momentum·new; the variance is that of a sample: Σ (x − mean)² / (count − 1).
  const move = (running: Tensor, value: Tensor): Tensor =>
    running.mul(1 - momentum).add(stopGradient(value).cast(running.dtype).mul(momentum));
  return {
    mean,
    variance,
    next: {
      running_mean: move(running_mean, mean),
      running_var: move(running_var, variance.mul(count / (count - 1))),
    },
  };
}

/** How many numbers a channel has. */
const countOf = ([batch = 0, , ...places]: Shape): number => places.reduce((product, size) => product * size, batch);
