import type { BatchStatistics } from '../../nn/index.ts';
import {
  argMax,
  read,
  ShapeError,
  softmax,
  type Tensor,
  TensorError,
  take,
  tensor,
  typeOf,
} from '../../tensor/index.ts';
import { type ClassifierOutput, type ConvClassifierParams, convClassifier } from './convClassifier.ts';
import type { Features } from './features.ts';
import type { Figure } from './figure.ts';
import { wilsonInterval } from './proportions.ts';

/** A trained classifier as plain data and tensors, which can be saved like any tree. */
export interface Classifier {
  /** Names of the classes, in the order of the outputs. */
  readonly classes: readonly string[];
  readonly channels: number;
  readonly widths: readonly number[];
  readonly params: ConvClassifierParams;
  readonly statistics: readonly BatchStatistics[];
}

/** Option of the functions that run a classifier over images. */
export interface BatchOptions {
  /** Images in a batch; default 256. Results do not depend on it. */
  readonly batchSize?: number;
}

/**
 * Runs the network over images [N, channels, H, W], from −1 to 1, batch by batch. `pick` selects a tensor [batch, width] of
 * the network's output. Returns the rows of all images, [N, width].
 */
async function inBatches(
  classifier: Classifier,
  images: Tensor,
  width: number,
  pick: (output: ClassifierOutput) => Tensor,
  { batchSize = 256 }: BatchOptions,
): Promise<Float32Array> {
  checkImages('classifier', images, classifier.channels);
  const { classes, channels, widths, params, statistics } = classifier;
  const network = convClassifier({ classes: classes.length, channels, widths });
  const count = images.shape[0] as number;
  const size = Math.min(batchSize, count);
  const values = new Float32Array(count * width);
  for (let from = 0; from < count; from += size) {
    // An incomplete last batch repeats the last image, so that all batches have one shape and share one plan.
    const rows = Int32Array.from({ length: size }, (_, i) => Math.min(from + i, count - 1));
    const output = await read(pick(network.apply(params, take(images, tensor(rows)), statistics)));
    values.set((output as Float32Array).subarray(0, Math.min(size, count - from) * width), from * width);
  }
  return values;
}

/** Throws a ShapeError unless `images` has the shape [N, channels, H, W] with N > 0. */
export function checkImages(what: string, images: Tensor, channels: number): void {
  if (images.rank !== 4 || images.shape[1] !== channels || images.shape[0] === 0)
    throw new ShapeError(`${what}: needs images [N, ${channels}, H, W], got ${typeOf(images)}`);
}

/** A classifier's output for N images. */
export interface Predictions {
  /** The index of each image's most probable class: [N]. */
  readonly classes: Int32Array;
  /** Softmax of the logits: [N, classes], row-major. */
  readonly probabilities: Float32Array;
}

/**
 * Predicts the classes of images [N, channels, H, W], from −1 to 1.
 * @throws ShapeError if `images` has another shape or no rows
 */
export async function predictClasses(
  classifier: Classifier,
  images: Tensor,
  options: BatchOptions = {},
): Promise<Predictions> {
  const width = classifier.classes.length;
  const probabilities = await inBatches(classifier, images, width, ({ logits }) => softmax(logits), options);
  const classes = (await read(
    argMax(tensor(probabilities).reshape([images.shape[0] as number, width]), 1),
  )) as Int32Array;
  return { classes, probabilities };
}

/**
 * The features of images [N, channels, H, W], from −1 to 1: the inputs of the network's last layer, one row for each image.
 * @throws ShapeError if `images` has another shape or no rows
 */
export async function classifierFeatures(
  classifier: Classifier,
  images: Tensor,
  options: BatchOptions = {},
): Promise<Features> {
  const width = classifier.widths.at(-1) as number;
  const values = await inBatches(classifier, images, width, ({ features }) => features, options);
  return { count: images.shape[0] as number, width, values };
}

/**
 * The share of images [N, channels, H, W] whose most probable class is their label, with Wilson's interval.
 * @throws TensorError if the labels are not N indices of classes
 * @throws ShapeError if `images` has another shape or no rows
 */
export async function classifierAccuracy(
  classifier: Classifier,
  images: Tensor,
  labels: readonly number[],
  options: BatchOptions = {},
): Promise<Figure> {
  checkLabels('classifierAccuracy', classifier.classes, images, labels);
  const { classes } = await predictClasses(classifier, images, options);
  return wilsonInterval(labels.filter((label, i) => label === classes[i]).length, labels.length);
}

/** Throws a TensorError unless each image has one label, and each label is the index of a class. */
export function checkLabels(what: string, classes: readonly string[], images: Tensor, labels: readonly number[]): void {
  if (labels.length !== images.shape[0])
    throw new TensorError(`${what}: ${labels.length} labels for ${images.shape[0]} images`);
  const at = labels.findIndex((label) => classes[label] === undefined);
  if (at >= 0)
    throw new TensorError(
      `${what}: label ${at} is ${labels[at]}; labels are numbers of classes: ${classes.map((name, i) => `${i} ${name}`).join(', ')}`,
    );
}
