import { type BatchStatistics, batchNorm, conv2d, linear, module } from '../../nn/index.ts';
import { relu, type Tensor } from '../../tensor/index.ts';

/** The shape of a `convClassifier`. */
export interface ConvClassifierOptions {
  /** Number of classes. */
  readonly classes: number;
  /** Channels of the images; default 3. */
  readonly channels?: number;
  /** Output channels of each convolution; all but the first have stride 2. Default 32, 64, 64. */
  readonly widths?: readonly number[];
}

/** The network's output for N images. */
export interface ClassifierOutput {
  /** Spatial means of the last block's channels: [N, last width]. */
  readonly features: Tensor;
  /** [N, classes] */
  readonly logits: Tensor;
  readonly statistics: readonly BatchStatistics[];
}

/**
 * A small network for images [N, channels, H, W] of any size: 3 × 3 convolutions, each with batch normalisation and
 * relu, then global average pooling and a linear layer. Pooling makes the output depend less on positions in the image.
 */
export function convClassifier({ classes, channels = 3, widths = [32, 64, 64] }: ConvClassifierOptions) {
  const norms = widths.map((width) => batchNorm(width));
  const layers = {
    blocks: widths.map((width, i) => ({
      // Batch normalisation subtracts the mean, and a bias with it.
      conv: conv2d(widths[i - 1] ?? channels, width, 3, { stride: i === 0 ? 1 : 2, padding: 1, bias: false }),
      norm: norms[i] as (typeof norms)[number],
    })),
    head: linear(widths.at(-1) ?? channels, classes),
  };
  return {
    ...module(
      layers,
      ({ blocks, head }, x: Tensor, before: readonly BatchStatistics[], training?: boolean): ClassifierOutput => {
        const statistics: BatchStatistics[] = [];
        let hidden = x;
        for (const [i, { conv, norm }] of blocks.entries()) {
          const normalised = norm(conv(hidden), before[i] as BatchStatistics, training);
          hidden = relu(normalised.output);
          statistics.push(normalised.statistics);
        }
        const features = hidden.mean([2, 3]);
        return { features, logits: head(features), statistics };
      },
    ),
    initStatistics: (): BatchStatistics[] => norms.map((norm) => norm.initStatistics()),
  };
}

export type ConvClassifier = ReturnType<typeof convClassifier>;
export type ConvClassifierParams = ReturnType<ConvClassifier['init']>;
