import { valueAndGrad } from '../../autograd/index.ts';
import { adamW, learningRateSchedule } from '../../nn/index.ts';
import {
  argMax,
  cast,
  crossEntropy,
  gather,
  random,
  read,
  realize,
  stack,
  type Tensor,
  TensorError,
  take,
  tensor,
  where,
} from '../../tensor/index.ts';
import { type Classifier, checkImages, checkLabels } from './classifier.ts';
import { type ConvClassifierParams, convClassifier } from './convClassifier.ts';

/** Progress after one step of `trainClassifier`. */
export interface ClassifierStep {
  /** Number of completed steps, from 1. */
  readonly step: number;
  /** Number of all steps. */
  readonly steps: number;
  /** Mean cross-entropy of the batch. */
  readonly loss: number;
  /** Share of the batch that was classified correctly, before the step. */
  readonly accuracy: number;
}

/** Data and training options of `trainClassifier`. */
export interface TrainClassifierOptions {
  /** [N, channels, H, W], from −1 to 1. */
  readonly images: Tensor;
  /** The index of each image's class. */
  readonly labels: readonly number[];
  /** Names of the classes. */
  readonly classes: readonly string[];
  /** The random key of initial parameters, order and augmentation. */
  readonly key: Tensor;
  /** Output channels of each convolution; default 32, 64, 64. */
  readonly widths?: readonly number[];
  /** Default 24. An incomplete last batch of an epoch is left out. */
  readonly epochs?: number;
  /** Images in a step; default 64, or all images if there are fewer. */
  readonly batchSize?: number;
  /** AdamW's peak learning rate, after a warm-up of a twentieth of the steps and before a cosine decay; default 4e-3. */
  readonly learningRate?: number;
  /** Augments a batch of images [batch, channels, H, W]; default `flipAndShift`. */
  readonly augment?: (images: Tensor, key: Tensor) => Tensor;
  readonly onStep?: (step: ClassifierStep) => void;
  readonly signal?: AbortSignal;
}

/**
 * Flips each image [N, C, H, W] horizontally with probability ½, and shifts it by −1, 0 or 1 pixels along each axis, repeating
 * its edge pixels.
 */
export function flipAndShift(images: Tensor, key: Tensor): Tensor {
  const [count = 0, , height = 0, width = 0] = images.shape;
  const [flipKey, downKey, rightKey] = random.split(key, 3) as [Tensor, Tensor, Tensor];
  const flipped = where(random.bernoulli(flipKey, 0.5, [count, 1, 1, 1]), images.flip(3), images);
  const along = (x: Tensor, axis: 2 | 3, from: Tensor): Tensor => {
    const size = axis === 2 ? height : width;
    const shape = [1, 1, 1, 1];
    shape[axis] = size;
    const places = tensor(Int32Array.from({ length: size }, (_, i) => i)).reshape(shape);
    const moved = places.add(random.randint(from, [count, 1, 1, 1], -1, 2)).clamp({ min: 0, max: size - 1 });
    return gather(x, moved.broadcastTo(x.shape), axis);
  };
  return along(along(flipped, 2, downKey), 3, rightKey);
}

/**
 * Trains a small convolutional network (`convClassifier`) to classify images, by cross-entropy and AdamW (weight decay 0.01).
 * The result depends only on the options: initial parameters, order and augmentation follow from the key.
 * @throws ShapeError if `images` is not [N, channels, H, W] with N > 0
 * @throws TensorError if labels do not fit, fewer than two classes are given, or the loss is not finite
 * @throws the reason of `signal` if it is aborted
 */
export async function trainClassifier(options: TrainClassifierOptions): Promise<Classifier> {
  const { images, labels, classes, key, widths = [32, 64, 64], epochs = 24, batchSize = 64 } = options;
  const { learningRate = 4e-3, augment = flipAndShift, onStep, signal } = options;
  const [count = 0, channels = 0] = images.shape;
  checkImages('trainClassifier', images, channels);
  checkLabels('trainClassifier', classes, images, labels);
  if (classes.length < 2) throw new TensorError(`trainClassifier: needs at least two classes, got ${classes.join()}`);

  const network = convClassifier({ classes: classes.length, channels, widths });
  const [initKey, orderKey, augmentKey] = random.split(key, 3) as [Tensor, Tensor, Tensor];
  const optimiser = adamW<ConvClassifierParams>({ weightDecay: 0.01 });
  const size = Math.min(batchSize, count);
  const perEpoch = Math.floor(count / size);
  const steps = epochs * perEpoch;
  const rate = learningRateSchedule('cosine', { warmupSteps: Math.ceil(steps / 20), totalSteps: steps });
  const [data, targets] = (await realize([images, tensor(labels, { dtype: 'i32' })])) as [Tensor, Tensor];

  interface State {
    readonly optimiser: ReturnType<typeof optimiser.init>;
    readonly statistics: Classifier['statistics'];
  }
  const loss = (params: ConvClassifierParams, { statistics }: State, rows: Tensor, stepKey: Tensor) => {
    const output = network.apply(params, augment(take(data, rows), stepKey), statistics, true);
    const wanted = take(targets, rows);
    const right = cast(argMax(output.logits, 1).equal(wanted), 'f32').mean();
    return [crossEntropy(output.logits, wanted), { statistics: output.statistics, right }] as const;
  };

  let state: State = await realize({
    optimiser: optimiser.init(network.init(initKey)),
    statistics: network.initStatistics(),
  });
  for (let epoch = 0, step = 0; epoch < epochs; epoch++) {
    const order = (await read(random.permutation(random.foldIn(orderKey, epoch), count))) as Int32Array;
    for (let batch = 0; batch < perEpoch; batch++) {
      signal?.throwIfAborted();
      const rows = tensor(order.slice(batch * size, (batch + 1) * size));
      const [[value, { statistics, right }], gradients] = valueAndGrad(loss, { hasAux: true })(
        state.optimiser.params,
        state,
        rows,
        random.foldIn(augmentKey, step),
      );
      const next = optimiser.step(state.optimiser, gradients, { learningRate: learningRate * rate(step) });
      const done = await realize(
        { state: { optimiser: next, statistics }, numbers: stack([value, right]) },
        { donate: state },
      );
      state = done.state;
      step++;
      const [lossValue = 0, accuracy = 0] = await read(done.numbers);
      if (!Number.isFinite(lossValue))
        throw new TensorError(`trainClassifier: the loss is ${lossValue} at step ${step}; lower the learning rate`);
      onStep?.({ step, steps, loss: lossValue, accuracy });
    }
  }
  return { classes, channels, widths, params: state.optimiser.params, statistics: state.statistics };
}
