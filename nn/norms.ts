import { groupNorm as applyGroups, layerNorm as applyLayer, ones, type Tensor, zeros } from '../tensor/index.ts';
import type { InitOptions, Layer } from './layer.ts';

/** Scale and shift behind a normalisation; none where the layer is not affine. */
export interface NormParams {
  readonly weight?: Tensor;
  readonly bias?: Tensor;
}

/** Options of the normalisation layers. */
export interface NormOptions {
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
  /** Whether there is a scale and a shift; default true. */
  readonly affine?: boolean;
}

/** Scale 1 and shift 0, or nothing. */
export const initNorm = (size: number, affine: boolean, { dtype = 'f32' }: InitOptions = {}): NormParams =>
  affine ? { weight: ones([size], { dtype }), bias: zeros([size], { dtype }) } : {};

/** Group normalisation of [N, channels, …] (PyTorch's GroupNorm). */
export const groupNorm = (
  groups: number,
  channels: number,
  { eps = 1e-5, affine = true }: NormOptions = {},
): Layer<NormParams> => ({
  init: (_, options) => initNorm(channels, affine, options),
  apply: (params, x) => applyGroups(x, groups, { ...params, eps }),
});

/** Layer normalisation over the last axis (PyTorch's LayerNorm). */
export const layerNorm = (size: number, { eps = 1e-5, affine = true }: NormOptions = {}): Layer<NormParams> => ({
  init: (_, options) => initNorm(size, affine, options),
  apply: (params, x) => applyLayer(x, { ...params, eps }),
});
