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

/** A trained network: plain data and tensors, so that it can be saved like any tree. */
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
  /** Images at a time; default 256. Results do not depend on it. */
  readonly batchSize?: number;
}

/**
 * Runs the network over images [N, channels, H, W], from −1 to 1, a batch at a time, and reads `pick` of its output:
 * rows of `width` numbers.
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
    // A last batch that is not full repeats the last image: one shape, hence one plan, for all.
    const rows = Int32Array.from({ length: size }, (_, i) => Math.min(from + i, count - 1));
    const output = await read(pick(network.apply(params, take(images, tensor(rows)), statistics)));
    values.set((output as Float32Array).subarray(0, Math.min(size, count - from) * width), from * width);
  }
  return values;
}

/** Throws unless these are images with so many channels. */
export function checkImages(what: string, images: Tensor, channels: number): void {
  if (images.rank !== 4 || images.shape[1] !== channels || images.shape[0] === 0)
    throw new ShapeError(`${what}: needs images [N, ${channels}, H, W], got ${typeOf(images)}`);
}

/** A classifier's output for N images. */
export interface Predictions {
  /** For each image the number of its most probable class. */
  readonly classes: Int32Array;
  /** [images, classes] */
  readonly probabilities: Float32Array;
}

/** Which classes images [N, channels, H, W] belong to. */
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

/** What the network's last layer sees of images [N, channels, H, W]. */
export async function classifierFeatures(
  classifier: Classifier,
  images: Tensor,
  options: BatchOptions = {},
): Promise<Features> {
  const width = classifier.widths.at(-1) as number;
  const values = await inBatches(classifier, images, width, ({ features }) => features, options);
  return { count: images.shape[0] as number, width, values };
}

/** Share of images whose most probable class is theirs, with Wilson's interval. */
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

/** Throws unless there is a label for each image, the number of a class. */
export function checkLabels(what: string, classes: readonly string[], images: Tensor, labels: readonly number[]): void {
  if (labels.length !== images.shape[0])
    throw new TensorError(`${what}: ${labels.length} labels for ${images.shape[0]} images`);
  const at = labels.findIndex((label) => classes[label] === undefined);
  if (at >= 0)
    throw new TensorError(
      `${what}: label ${at} is ${labels[at]}; labels are numbers of classes: ${classes.map((name, i) => `${i} ${name}`).join(', ')}`,
    );
}
