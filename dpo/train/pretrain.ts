import { valueAndGrad } from '../../autograd/index.ts';
import {
  addNoise,
  modelTimesteps,
  type NoiseSchedule,
  type PredictionType,
  predictionTarget,
  type TextToImage,
  type TextToImageParams,
} from '../../diffusion/index.ts';
import { clipByGlobalNorm, emaStep, type LearningRateSchedule, type OptimiserState } from '../../nn/index.ts';
import { copy, random, realize, type Tensor, take, where } from '../../tensor/index.ts';
import { type OptimiserName, optimiserOf } from './optimiserOf.ts';

/** Captioned images on the device. */
export interface CaptionedImages {
  /** [count, channels, height, width], from −1 to 1. */
  readonly images: Tensor;
  /** Token ids of the captions: i32[count, tokens]. */
  readonly ids: Tensor;
  /** Token ids of the empty caption: i32[1, tokens]. */
  readonly emptyIds: Tensor;
}

/** The model, data and settings of `pretraining`. */
export interface PretrainOptions {
  readonly model: TextToImage;
  readonly schedule: NoiseSchedule;
  readonly prediction: PredictionType;
  readonly data: CaptionedImages;
  /** Images in a step. */
  readonly batchSize: number;
  readonly learningRate: number;
  readonly learningRateSchedule: LearningRateSchedule;
  /** Share of captions that are replaced by the empty one, for classifier-free guidance. */
  readonly captionDropout: number;
  /** Default adamw. */
  readonly optimiser?: OptimiserName;
  readonly weightDecay: number;
  /** Gradients with a larger global norm are scaled down to it. */
  readonly maxGradientNorm: number;
  /** Decay of the exponential moving average of the parameters. */
  readonly emaDecay: number;
  /** The key of everything random; each step folds its number into it. */
  readonly key: Tensor;
}

/** Everything that a step changes: the tensors of a training checkpoint. */
export interface PretrainState {
  readonly optimiser: OptimiserState<TextToImageParams>;
  /** The exponential moving average of the parameters, which samples are drawn with. */
  readonly average: TextToImageParams;
}

/**
 * Trains a text-to-image model from nothing by the mean squared error of its predictions (Ho et al. 2020, equation 14), with
 * captions dropped at random. Step i depends only on the state and i.
 */
export function pretraining(options: PretrainOptions) {
  const { model, schedule, prediction, data, batchSize } = options;
  const optimiser = optimiserOf<TextToImageParams>(options.optimiser ?? 'adamw', {
    weightDecay: options.weightDecay,
    hasHalves: false,
  });
  const [count = 0, , height = 0, width = 0] = data.images.shape;

  function loss(params: TextToImageParams, stepKey: Tensor): Tensor {
    const [imageKey, timeKey, noiseKey, dropKey] = random.split(stepKey, 4) as [Tensor, Tensor, Tensor, Tensor];
    const chosen = random.randint(imageKey, [batchSize], 0, count);
    const original = take(data.images, chosen);
    const timesteps = random.randint(timeKey, [batchSize], 0, schedule.numTrainTimesteps);
    const noise = random.normal(noiseKey, original.shape);
    const dropped = random.bernoulli(dropKey, options.captionDropout, [batchSize, 1]);
    const ids = where(dropped, data.emptyIds, take(data.ids, chosen));
    const target = predictionTarget(prediction, schedule, original, noise, timesteps);
    const conditioning = model.condition(params, ids, [height, width]);
    const noisy = addNoise(schedule, original, noise, timesteps);
    return model.predict(params, noisy, modelTimesteps(schedule, timesteps), conditioning).sub(target).square().mean();
  }

  return {
    /** The state before the first step; its average is a copy of the parameters. */
    async init(params: TextToImageParams): Promise<PretrainState> {
      return realize({ optimiser: optimiser.init(params), average: await copy(params) });
    },
    /** The next state and the loss; lazy. */
    step({ optimiser: state, average }: PretrainState): PretrainState & { readonly loss: Tensor } {
      const [value, grads] = valueAndGrad(loss)(state.params, random.foldIn(options.key, state.steps));
      const { gradients } = clipByGlobalNorm(grads, options.maxGradientNorm);
      const learningRate = options.learningRate * options.learningRateSchedule(state.steps);
      const updated = optimiser.step(state, gradients, { learningRate });
      const nextAverage = emaStep(average, updated.params, updated.steps, { decay: options.emaDecay });
      return { optimiser: updated, average: nextAverage, loss: value };
    },
  };
}
