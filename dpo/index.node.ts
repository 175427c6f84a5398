/** What needs Node: data on disk, and runs that write folders. */
export { cachedEncodings, type EncodingOptions } from './data/cachedEncodings.node.ts';
export { decodeImage, readImage } from './data/decodeImage.node.ts';
export { openCaptioned, openPairs } from './data/openSources.node.ts';
export { writeCaptioned } from './data/parquet/writeCaptioned.node.ts';
export { type WritePickAPicOptions, type WrittenPair, writePickAPic } from './data/parquet/writePickAPic.node.ts';
export { type EvaluateHooks, type EvaluationSummary, evaluate } from './evaluate/evaluate.node.ts';
export { loadJudges, saveJudges } from './evaluate/judgesFolder.node.ts';
export { plottingLibrary, writeReport } from './evaluate/report/writeReport.node.ts';
export { loadReward } from './evaluate/rewardModule.node.ts';
export { loadTuned } from './train/loadTuned.node.ts';
export { type PretrainHooks, type PretrainRow, pretrain } from './train/pretrain.node.ts';
export { train } from './train/train.node.ts';
export type { TrainHooks, TrainResult } from './train/trainPolicy.node.ts';
