import { ShapeError, TensorError } from '../errors.ts';
import type { ConvAttributes } from '../primitives.ts';
import { sizeOf } from '../shape.ts';
import { makeNode, type Tensor, typeOf } from '../tensor.ts';
import { add } from './elementwise.ts';
import { flip, permute, reshape } from './movement.ts';
import { checkNumeric, constant } from './operands.ts';

/** The attributes of `conv`. Default: strides and dilations of 1, no padding, one group. */
export type ConvOptions = Partial<ConvAttributes>;

/** The extent of `size` elements with `dilation − 1` gaps between neighbours. */
export const dilated = (size: number, dilation: number): number => (size === 0 ? 0 : (size - 1) * dilation + 1);

/**
 * The general convolution (cross-correlation) over any number of spatial axes; `ConvAttributes` gives the formula.
 * x: [N, groups·I, spatial…], weight: [groups·O, I, kernel…] of the same dtype → [N, groups·O, out…], where
 * `out = ⌊(dilated(spatial) + before + after − dilated(kernel)) / stride⌋ + 1` and
 * `dilated(size) = (size − 1)·dilation + 1`.
 * @throws ShapeError for shapes that do not fit, TensorError for dtypes that differ and for invalid attributes
 */
export function conv(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor {
  checkNumeric('conv', x);
  if (x.dtype !== weight.dtype)
    throw new TensorError(`conv: dtypes differ: ${typeOf(x)} and ${typeOf(weight)}; cast one of them`);
  const [batch, channels, ...spatial] = x.shape;
  const [outputs, inputs, ...kernel] = weight.shape;
  const { groups = 1 } = options;
  if (
    batch === undefined ||
    channels === undefined ||
    outputs === undefined ||
    inputs === undefined ||
    spatial.length !== kernel.length
  ) {
    throw new ShapeError(
      `conv: needs x [N, C, spatial…] and a weight [O, C/groups, kernel…], got ${typeOf(x)} and ${typeOf(weight)}`,
    );
  }
  if (!Number.isInteger(groups) || groups < 1 || channels !== groups * inputs || outputs % groups !== 0) {
    throw new ShapeError(
      `conv: with groups ${groups}, ${typeOf(x)} needs a weight of shape [a multiple of ${groups}, ${channels / groups}, …], got ${typeOf(weight)}`,
    );
  }
  const entries = (
    name: 'strides' | 'before' | 'after' | 'inputDilation' | 'kernelDilation',
    minimum: number,
    fallback: number,
  ) => {
    const list = options[name] ?? spatial.map(() => fallback);
    if (list.length !== spatial.length || list.some((entry) => !Number.isInteger(entry) || entry < minimum)) {
      throw new TensorError(
        `conv: ${name} [${list.join(', ')}] must be ${spatial.length} whole numbers, one a spatial axis`,
      );
    }
    return list;
  };
  const attributes: ConvAttributes = {
    strides: entries('strides', 1, 1),
    before: entries('before', Number.NEGATIVE_INFINITY, 0),
    after: entries('after', Number.NEGATIVE_INFINITY, 0),
    inputDilation: entries('inputDilation', 1, 1),
    kernelDilation: entries('kernelDilation', 1, 1),
    groups,
  };
  const out = spatial.map((size, i) => {
    const at = <K extends Exclude<keyof ConvAttributes, 'groups'>>(name: K) => attributes[name][i] as number;
    const padded = dilated(size, at('inputDilation')) + at('before') + at('after');
    const reach = dilated(kernel[i] as number, at('kernelDilation'));
    if (padded < reach) {
      throw new ShapeError(
        `conv: the kernel of ${typeOf(weight)} reaches over ${reach} elements, but ${typeOf(x)} has ${padded} with padding`,
      );
    }
    return Math.floor((padded - reach) / at('strides')) + 1;
  });
  const shape = [batch, outputs, ...out];
  // Every element is a sum of no products.
  if (sizeOf(shape) > 0 && (x.size === 0 || weight.size === 0)) return constant(0, shape, x.dtype);
  return makeNode('conv', [x, weight], attributes, shape, x.dtype);
}

/** One number for both spatial axes, or [vertical, horizontal]. */
export type Pair = number | readonly [number, number];

/** A `Pair` as [vertical, horizontal]. */
export const pairOf = (value: Pair): readonly [number, number] => (typeof value === 'number' ? [value, value] : value);

/** Padding of two spatial axes: one number, [vertical, horizontal], or [[top, bottom], [left, right]]. */
export type Padding2d = Pair | readonly [readonly [number, number], readonly [number, number]];

/** Padding as `conv` takes it: before is [top, left], after is [bottom, right]. */
export function paddingOf(padding: Padding2d): { before: [number, number]; after: [number, number] } {
  const [vertical, horizontal] = typeof padding === 'number' ? [padding, padding] : padding;
  const [top, bottom] = typeof vertical === 'number' ? [vertical, vertical] : vertical;
  const [left, right] = typeof horizontal === 'number' ? [horizontal, horizontal] : horizontal;
  return { before: [top, left], after: [bottom, right] };
}

/** Adds one number per channel to [N, C, …]. */
function addBias(operator: string, x: Tensor, bias: Tensor | undefined): Tensor {
  if (bias === undefined) return x;
  const channels = x.shape[1] as number;
  if (bias.rank !== 1 || bias.size !== channels) {
    throw new ShapeError(
      `${operator}: the bias for ${channels} output channels must be ${x.dtype}[${channels}], got ${typeOf(bias)}`,
    );
  }
  return add(x, reshape(bias, [channels, ...x.shape.slice(2).map(() => 1)]));
}

function checkImages(operator: string, x: Tensor, weight: Tensor): void {
  if (x.rank !== 4 || weight.rank !== 4) {
    throw new ShapeError(
      `${operator}: needs images [N, C, H, W] and a kernel of rank 4, got ${typeOf(x)} and ${typeOf(weight)}`,
    );
  }
}

/** Options of `conv2d`. Default: stride and dilation 1, no padding, one group, no bias. */
export interface Conv2dOptions {
  readonly stride?: Pair;
  readonly padding?: Padding2d;
  readonly dilation?: Pair;
  readonly groups?: number;
  readonly bias?: Tensor | undefined;
}

/**
 * Convolution of images (PyTorch's `conv2d`): x [N, C, H, W], weight [O, C/groups, kh, kw], bias [O] → [N, O, H′, W′].
 * @throws ShapeError for shapes that do not fit, TensorError for dtypes that differ
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  checkImages('conv2d', x, weight);
  const { stride = 1, padding = 0, dilation = 1, groups = 1, bias } = options;
  const product = conv(x, weight, {
    strides: pairOf(stride),
    ...paddingOf(padding),
    kernelDilation: pairOf(dilation),
    groups,
  });
  return addBias('conv2d', product, bias);
}

/** Options of `convTranspose2d`. Default: stride and dilation 1, no padding, one group, no bias. */
export interface ConvTranspose2dOptions {
  readonly stride?: Pair;
  readonly padding?: Pair;
  readonly outputPadding?: Pair;
  readonly dilation?: Pair;
  readonly groups?: number;
  readonly bias?: Tensor | undefined;
}

/**
 * Transposed convolution of images, the adjoint of `conv2d` (PyTorch's `conv_transpose2d`): x [N, C, H, W],
 * weight [C, O/groups, kh, kw], bias [O] → [N, O, H′, W′] with
 * `H′ = (H − 1)·stride − 2·padding + dilation·(kh − 1) + outputPadding + 1`.
 * @throws ShapeError for shapes that do not fit, TensorError for dtypes that differ
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTranspose2dOptions = {}): Tensor {
  checkImages('convTranspose2d', x, weight);
  const { stride = 1, padding = 0, outputPadding = 0, dilation = 1, groups = 1, bias } = options;
  const margins = pairOf(padding);
  const extra = pairOf(outputPadding);
  const kernelDilation = pairOf(dilation);
  const before = margins.map(
    (margin, i) => dilated(weight.shape[i + 2] as number, kernelDilation[i] as number) - 1 - margin,
  );
  const product = conv(x, adjointKernel(weight, groups), {
    before,
    after: before.map((amount, i) => amount + (extra[i] as number)),
    inputDilation: pairOf(stride),
    kernelDilation,
    groups,
  });
  return addBias('convTranspose2d', product, bias);
}

/** Mirrors a kernel and swaps its channel axes within each group: [groups·A, B, kernel…] → [groups·B, A, kernel…]. */
export function adjointKernel(weight: Tensor, groups: number): Tensor {
  const [outer, inner, ...kernel] = weight.shape as readonly [number, number, ...number[]];
  const spatial = kernel.map((_, i) => i + 2);
  if (outer % groups !== 0) {
    throw new ShapeError(
      `convTranspose2d: the ${outer} input channels of ${typeOf(weight)} do not divide into ${groups} groups`,
    );
  }
  const grouped = reshape(flip(weight, spatial), [groups, outer / groups, inner, ...kernel]);
  return reshape(permute(grouped, [0, 2, 1, ...spatial.map((axis) => axis + 1)]), [
    groups * inner,
    outer / groups,
    ...kernel,
  ]);
}
