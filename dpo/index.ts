/** Diffusion-DPO: fine-tuning a diffusion model on pairs of which people preferred one. */

export { type Key, type Keys, readSettings, type SettingsOf } from './config/configKey.ts';
export { type ConvertSettings, convertKeys } from './config/convertKeys.ts';
export { commandKeys, configurationPage, keysTable } from './config/describeKeys.ts';
export { type EvaluateSettings, evaluateKeys } from './config/evaluateKeys.ts';
export { type PretrainSettings, pretrainKeys } from './config/pretrainKeys.ts';
export { type SampleSettings, sampleKeys } from './config/sampleKeys.ts';
export { type TrainSettings, trainKeys } from './config/trainKeys.ts';
export { type ContactSheetOptions, contactSheet } from './data/contactSheet.ts';
export { encodePng } from './data/encodePng.ts';
export { type Image, type ImageDecoder, ImageError, imageOf } from './data/image.ts';
export { type GridOptions, gridPng } from './data/imageGrid.ts';
export { describePairs, type InspectOptions, inspectPairs, type PairSummary } from './data/inspectPairs.ts';
export type { DataPosition } from './data/order.ts';
export { type PairBatch, type PairBatchOptions, pairBatches } from './data/pairBatches.ts';
export {
  drawTransforms,
  type PreparedImage,
  type PreprocessOptions,
  prepareImage,
  type TimeIds,
  type Transform,
} from './data/preprocess.ts';
export type { CaptionedImage, CaptionedSource, PairSource, PreferencePair, RowGroup } from './data/sources.ts';
export * from './evaluate/index.ts';
export * from './objectives/index.ts';
export {
  bucketOf,
  emptyWindow,
  type MetricsRow,
  type MetricsWindow,
  metricDefinitions,
  type PairRow,
  summarize,
  withBatch,
} from './train/metrics.ts';
export { forBothSides, type NoisedPairs, noisePairs, type Pairs, pairOutput } from './train/noisedPairs.ts';
export { fullPolicy, loraPolicy, type Policy } from './train/policy.ts';
export {
  type BatchReport,
  type PreferenceBatch,
  type PreferenceState,
  type PreferenceTask,
  preferenceLoss,
  preferenceSteps,
  referenceErrors,
  reportRows,
} from './train/preferenceStep.ts';
export { type CaptionedImages, type PretrainOptions, type PretrainState, pretraining } from './train/pretrain.ts';
export { crc32c, eventFileHead, scalarsRecord } from './train/run/eventFile.ts';
export { type SampleImagesOptions, sampleImages } from './train/sampleImages.ts';
export { drawnTimesteps, type TimestepMapName, timestepMaps } from './train/timestepMaps.ts';
export { type MetricsWarning, warningsOf } from './train/warnings.ts';
