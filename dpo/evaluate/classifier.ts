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

export interface BatchOptions {
  /** Pictures at a time; default 256. Results do not depend on it. */
  readonly batchSize?: number;
}

/**
 * Runs the network over pictures [N, channels, H, W], from −1 to 1, a batch at a time, and reads `pick` of its output:
 * rows of `width` numbers.
 */
async function inBatches(
  classifier: Classifier,
  pictures: Tensor,
  width: number,
  pick: (output: ClassifierOutput) => Tensor,
  { batchSize = 256 }: BatchOptions,
): Promise<Float32Array> {
  checkPictures('classifier', pictures, classifier.channels);
  const { classes, channels, widths, params, statistics } = classifier;
  const network = convClassifier({ classes: classes.length, channels, widths });
  const count = pictures.shape[0] as number;
  const size = Math.min(batchSize, count);
  const values = new Float32Array(count * width);
  for (let from = 0; from < count; from += size) {
    // A last batch that is not full repeats the last picture: one shape, hence one plan, for all.
    const rows = Int32Array.from({ length: size }, (_, i) => Math.min(from + i, count - 1));
    const output = await read(pick(network.apply(params, take(pictures, tensor(rows)), statistics)));
    values.set((output as Float32Array).subarray(0, Math.min(size, count - from) * width), from * width);
  }
  return values;
}

/** Throws unless these are pictures with so many channels. */
export function checkPictures(what: string, pictures: Tensor, channels: number): void {
  if (pictures.rank !== 4 || pictures.shape[1] !== channels || pictures.shape[0] === 0)
    throw new ShapeError(`${what}: needs pictures [N, ${channels}, H, W], got ${typeOf(pictures)}`);
}

export interface Predictions {
  /** For each picture the number of its most probable class. */
  readonly classes: Int32Array;
  /** [pictures, classes] */
  readonly probabilities: Float32Array;
}

/** Which classes pictures [N, channels, H, W] belong to. */
export async function predictClasses(
  classifier: Classifier,
  pictures: Tensor,
  options: BatchOptions = {},
): Promise<Predictions> {
  const width = classifier.classes.length;
  const probabilities = await inBatches(classifier, pictures, width, ({ logits }) => softmax(logits), options);
  const classes = (await read(
    argMax(tensor(probabilities).reshape([pictures.shape[0] as number, width]), 1),
  )) as Int32Array;
  return { classes, probabilities };
}

/** What the network's last layer sees of pictures [N, channels, H, W]. */
export async function classifierFeatures(
  classifier: Classifier,
  pictures: Tensor,
  options: BatchOptions = {},
): Promise<Features> {
  const width = classifier.widths.at(-1) as number;
  const values = await inBatches(classifier, pictures, width, ({ features }) => features, options);
  return { count: pictures.shape[0] as number, width, values };
}

/** Share of pictures whose most probable class is theirs, with Wilson's interval. */
export async function classifierAccuracy(
  classifier: Classifier,
  pictures: Tensor,
  labels: readonly number[],
  options: BatchOptions = {},
): Promise<Figure> {
  checkLabels('classifierAccuracy', classifier.classes, pictures, labels);
  const { classes } = await predictClasses(classifier, pictures, options);
  return wilsonInterval(labels.filter((label, i) => label === classes[i]).length, labels.length);
}

/** Throws unless there is a label for each picture, the number of a class. */
export function checkLabels(
  what: string,
  classes: readonly string[],
  pictures: Tensor,
  labels: readonly number[],
): void {
  if (labels.length !== pictures.shape[0])
    throw new TensorError(`${what}: ${labels.length} labels for ${pictures.shape[0]} pictures`);
  const at = labels.findIndex((label) => classes[label] === undefined);
  if (at >= 0)
    throw new TensorError(
      `${what}: label ${at} is ${labels[at]}; labels are numbers of classes: ${classes.map((name, i) => `${i} ${name}`).join(', ')}`,
    );
}
