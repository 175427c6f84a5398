/**
 * Layers and optimisers as pure functions over trees of parameters.
 *
 *   layer    what a layer is: parameters from a key, and a function of parameters and inputs
 */
export type { InitOptions, Layer, ParamsOf } from './layer.ts';
