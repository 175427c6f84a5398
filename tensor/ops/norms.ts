import { ShapeError } from '../errors.ts';
import type { Shape } from '../shape.ts';
import { type Tensor, typeOf } from '../tensor.ts';
import { add, div, mul, sqrt, sub } from './elementwise.ts';
import { reshape } from './movement.ts';
import { cast, checkFloat, inFloat32 } from './operands.ts';
import { mean, variance } from './reductions.ts';

/** Options of the normalisations: an affine map of the result, and eps. */
export interface NormOptions {
  readonly weight?: Tensor | undefined;
  readonly bias?: Tensor | undefined;
  /** Added to the variance before the root; default 1e-5. */
  readonly eps?: number;
}

/** (x − mean) / √(variance + eps) over axes, with the population variance. */
function standardize(x: Tensor, axes: readonly number[], eps: number): Tensor {
  const centred = sub(x, mean(x, axes, { keepDims: true }));
  return div(centred, sqrt(add(variance(x, axes, { keepDims: true }), eps)));
}

/** `x·weight + bias`, each reshaped to broadcast over x, in the dtype of x. */
function affine(operator: string, x: Tensor, { weight, bias }: NormOptions, expected: Shape, broadcast: Shape): Tensor {
  const fit = (parameter: Tensor): Tensor => {
    if (parameter.shape.join() !== expected.join()) {
      throw new ShapeError(
        `${operator}: weight and bias must have shape [${expected.join(', ')}], got ${typeOf(parameter)}`,
      );
    }
    return cast(reshape(parameter, broadcast), x.dtype);
  };
  const scaled = weight === undefined ? x : mul(x, fit(weight));
  return bias === undefined ? scaled : add(scaled, fit(bias));
}

/**
 * Group normalisation (Wu & He 2018; PyTorch's `group_norm`) of floats [N, C, …]: each of `groups` groups of channels is
 * normalised over its channels and all later axes. weight and bias: [C].
 */
export function groupNorm(x: Tensor, groups: number, options: NormOptions = {}): Tensor {
  checkFloat('groupNorm', x);
  const [batch, channels, ...places] = x.shape;
  if (
    batch === undefined ||
    channels === undefined ||
    !(groups >= 1 && channels % groups === 0 && Number.isInteger(groups))
  ) {
    throw new ShapeError(
      `groupNorm: ${typeOf(x)} is not [batch, channels, …] with channels that divide into ${groups} groups`,
    );
  }
  return inFloat32(x, (wide) => {
    const grouped = reshape(wide, [batch, groups, (channels / groups) * places.reduce((a, b) => a * b, 1)]);
    const normal = reshape(standardize(grouped, [2], options.eps ?? 1e-5), x.shape);
    return affine('groupNorm', normal, options, [channels], [channels, ...places.map(() => 1)]);
  });
}

/**
 * Layer normalisation (Ba et al. 2016; PyTorch's `layer_norm`) over the last `axes` axes, by default one. weight and bias
 * have the shape of these axes.
 */
export function layerNorm(x: Tensor, options: NormOptions & { readonly axes?: number } = {}): Tensor {
  checkFloat('layerNorm', x);
  const count = options.axes ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > x.rank) {
    throw new ShapeError(`layerNorm: cannot normalise ${typeOf(x)} over its last ${count} axes`);
  }
  const axes = Array.from({ length: count }, (_, i) => x.rank - count + i);
  const expected = x.shape.slice(-count);
  return inFloat32(x, (wide) =>
    affine('layerNorm', standardize(wide, axes, options.eps ?? 1e-5), options, expected, expected),
  );
}
