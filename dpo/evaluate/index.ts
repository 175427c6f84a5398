/** Evaluation: compares samples before and after training with each other and with real images, by trained judges. */
export { type BootstrapOptions, bootstrap, bootstrapMean } from './bootstrap.ts';
export { type CaptionedFeatures, type CaptionMatch, type CaptionMatchOptions, captionMatch } from './captionMatch.ts';
export {
  type BatchOptions,
  type Classifier,
  classifierAccuracy,
  classifierFeatures,
  type Predictions,
  predictClasses,
} from './classifier.ts';
export { type EvaluationFigures, type EvaluationReportOptions, evaluationReport } from './evaluationReport.ts';
export { type Features, selectRows } from './features.ts';
export { fid } from './fid.ts';
export type { Figure } from './figure.ts';
export {
  type FrontierPlace,
  type FrontierPoint,
  type FrontierRun,
  largestDivergence,
  placeOnFrontier,
  rewardKlFrontier,
} from './frontier.ts';
export type { JackknifeOptions } from './jackknife.ts';
export { type Judges, type JudgesOptions, kinds, trainJudges } from './judges.ts';
export { kid } from './kid.ts';
export { klEstimate } from './klEstimate.ts';
export { measureSamples, type SampleFigures } from './measureSamples.ts';
export { neitherImages } from './neither.ts';
export {
  type NearestNeighbours,
  nearestNeighbours,
  type PrecisionRecallOptions,
  precisionRecall,
} from './precisionRecall.ts';
export { meanShare, signTest, type WinRate, wilsonInterval, winRate } from './proportions.ts';
export { type RealImages, realImages } from './realImages.ts';
export {
  type Curve,
  type CurveOptions,
  type CurveSeries,
  curveOf,
  type MetricRecord,
  readMetrics,
} from './report/metrics.ts';
export type { Report, ReportFigure, ReportGrid, ReportImage } from './report/report.ts';
export { type PlottingLibrary, reportHtml } from './report/reportHtml.ts';
export { checkReward, type Reward, rewardsOf } from './reward.ts';
export { type SlicedWassersteinOptions, slicedWasserstein } from './slicedWasserstein.ts';
export { type ClassifierStep, flipAndShift, type TrainClassifierOptions, trainClassifier } from './trainClassifier.ts';
