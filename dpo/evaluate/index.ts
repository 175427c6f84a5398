/** What is measured of a model: samples before and after, against real pictures, and by a network trained to judge them. */
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
export { type Features, selectRows } from './features.ts';
export type { Figure } from './figure.ts';
export { kid } from './kid.ts';
export { neitherPictures } from './neither.ts';
export { signTest, type WinRate, wilsonInterval, winRate } from './proportions.ts';
export { type ClassifierStep, flipAndShift, type TrainClassifierOptions, trainClassifier } from './trainClassifier.ts';
