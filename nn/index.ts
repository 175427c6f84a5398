/**
 * Layers and optimisers as pure functions over trees of parameters.
 *
 *   layer, module          what a layer is: parameters from a key, and a function of parameters and inputs; layers of layers
 *   linear, conv2d, norms, batchNorm, embedding, dropout, activations    the small ones
 *   attention, feedForward, transformer                       tokens
 *   resnet, resample, timesteps                               images, and time
 *   checkpointed, watch    any layer with less memory; looking inside a model
 *   lora/                  adapters of low rank: training a small part beside a frozen model
 */

export { flattenTree, mapTree, treeLeaves, zipTrees } from '../tensor/index.ts';
export { type ActivationName, activation } from './activations.ts';
export {
  type AttentionOptions,
  attention,
  fromTokens,
  type SpatialAttentionOptions,
  spatialAttention,
  toTokens,
} from './attention.ts';
export {
  type BatchNorm,
  type BatchNormOptions,
  type BatchNormOutput,
  type BatchStatistics,
  batchNorm,
} from './batchNorm.ts';
export { checkpointed } from './checkpointed.ts';
export { type Conv2dOptions, conv2d } from './conv2d.ts';
export { dropout } from './dropout.ts';
export { type EmaOptions, emaDecay, emaStep } from './ema.ts';
export { type EmbeddingParams, embedding } from './embedding.ts';
export { type FeedForwardActivation, type FeedForwardOptions, feedForward } from './feedForward.ts';
export { type AffineParams, initAffine } from './initialisers.ts';
export type { InitOptions, Layer, ParamsOf } from './layer.ts';
export { linear } from './linear.ts';
export type { LoraAdapter, LoraAdapters } from './lora/adapter.ts';
export { type LoraFile, type LoraFileOptions, loraTensors, openLora, readLora } from './lora/file.ts';
export {
  attachLora,
  attentionProjections,
  initLora,
  type LoraOptions,
  type LoraStrength,
  mergeLora,
  mergeLoras,
  unmergeLora,
  type WeightedLora,
} from './lora/lora.ts';
export type { LoraLayer, LoraLayerOf } from './lora/names.ts';
export { type Bound, type ChildParams, module } from './module.ts';
export { groupNorm, layerNorm, type NormOptions, type NormParams } from './norms.ts';
export { type AdafactorOptions, type AdafactorState, adafactor } from './optimisers/adafactor.ts';
export { type AdamOptions, type AdamState, adam, adamW } from './optimisers/adam.ts';
export { accumulate, clipByGlobalNorm, clipByValue, meanGradients } from './optimisers/gradients.ts';
export {
  type LearningRateOptions,
  type LearningRateSchedule,
  type LearningRateScheduleName,
  learningRateSchedule,
  learningRateSchedules,
} from './optimisers/learningRate.ts';
export { type LionOptions, type LionState, lion } from './optimisers/lion.ts';
export { type MasterWeightsState, preciseParameters, withMasterWeights } from './optimisers/masterWeights.ts';
export type { Optimiser, OptimiserState, StepOptions } from './optimisers/optimiser.ts';
export { type SgdOptions, type SgdState, sgd } from './optimisers/sgd.ts';
export { type DownsampleOptions, downsample2d, upsample2d } from './resample.ts';
export { type ResnetBlockOptions, resnetBlock } from './resnet.ts';
export {
  type TimestepEmbeddingOptions,
  type TimestepMlpOptions,
  timestepEmbedding,
  timestepMlp,
} from './timesteps.ts';
export {
  basicTransformerBlock,
  type Transformer2dOptions,
  type TransformerBlockOptions,
  transformer2d,
} from './transformer.ts';
export {
  combine,
  countParameters,
  globalNorm,
  leafNorms,
  type Partition,
  type PathPattern,
  partition,
  pathMatcher,
  type Selected,
  updateAt,
  widened,
} from './trees.ts';
export { watch } from './watch.ts';
