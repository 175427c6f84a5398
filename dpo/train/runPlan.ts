import {
  type ClipTokenizerFiles,
  clipTokenizer,
  noisingFromConfig,
  type TextToImage,
  type TextToImageConfig,
  type TextToImageParams,
} from '../../diffusion/index.ts';
import { TensorError } from '../../tensor/index.ts';
import type { TrainSettings } from '../config/trainKeys.ts';
import type { PairBatchOptions } from '../data/pairBatches.ts';
import { targetSize } from '../data/preprocess.ts';
import type { PairSource } from '../data/sources.ts';
import { counted } from '../messages.ts';
import { timestepWeights } from '../objectives/timestepWeights.ts';
import { objectiveOf } from './objectiveOf.ts';
import { type PairConditioning, trainingBatches } from './pairTensors.ts';
import type { PreferenceTask } from './preferenceStep.ts';
import { drawnTimesteps } from './timestepMaps.ts';
import { variance } from './variance.ts';

export type UNetParams = TextToImageParams['unet'];

/** The parts of a pipeline that a run needs. */
export interface PlannedPipeline {
  readonly config: TextToImageConfig;
  readonly tokenizer: ClipTokenizerFiles;
  readonly scheduler: Readonly<Record<string, unknown>>;
  readonly model: TextToImage;
  readonly params: TextToImageParams;
}

/**
 * Height and width of a pipeline's images in pixels: `size`, or else the UNet's `sample_size`, each of whose places stands for
 * `factor` pixels.
 */
export function imageSizeOf(
  size: number | readonly [number, number] | null,
  unet: TextToImageConfig['unet'],
  factor = 1,
): readonly [number, number] {
  if (size !== null) return targetSize({ size });
  const found = unet.sample_size as number | readonly [number, number] | null | undefined;
  if (found === null || found === undefined)
    throw new TensorError("give `size`, since the UNet's configuration has no sample_size");
  const [height, width] = targetSize({ size: found });
  return [factor * height, factor * width];
}

/** Refuses a pipeline in latent space where only pixel space is supported. */
export function refuseLatents(command: string, { model }: Pick<PlannedPipeline, 'model'>, folder: string): void {
  if (model.autoencoder !== undefined)
    throw new TensorError(
      `${command}: ${folder} is a pipeline on latents (it has a vae), which can be sampled from, but not used here yet`,
    );
}

/** Everything about a run that follows from its settings, the pipeline and the pairs. */
export async function planRun(settings: TrainSettings, pipeline: PlannedPipeline, pairs: PairSource) {
  if (pairs.count === 0)
    throw new TensorError(
      `${pairs.name} holds no pair with a preference: ${pairs.ties} ties and ${pairs.unlabelled} pairs without a label are left out`,
    );
  if (settings.safeguard !== null && settings.objective === 'sft')
    throw new TensorError('train: safeguard limits the gradient by the other image, and sft has none; leave it out');
  const batch: PairBatchOptions = {
    size: imageSizeOf(settings.size, pipeline.config.unet),
    crop: settings.crop,
    flip: settings.flip,
    captionDropout: settings.captionDropout,
    independentTransforms: settings.independentTransforms,
    batchSize: settings.batchSize,
    seed: settings.seed,
    maxSkipped: settings.maxSkipped,
  };
  const { schedule, prediction } = noisingFromConfig(pipeline.scheduler);
  const objective = objectiveOf(settings, schedule.numTrainTimesteps);
  if (objective.process === 'flow' && prediction !== 'flow_prediction')
    throw new TensorError(
      `train: ${settings.objective} is for pipelines that predict the velocities of a flow, whose scheduler is a ` +
        `FlowMatchEulerDiscreteScheduler; that of ${settings.model} is a ${pipeline.scheduler._class_name} with predictions of ` +
        `${prediction}. Objective dpo fits it`,
    );
  const dataVariance =
    settings.timestepWeight === 'score-consistent'
      ? (settings.dataVariance ?? (await variance(pairs, batch)))
      : undefined;
  const task: PreferenceTask<UNetParams> = {
    predict: (unet, noisy, timesteps, conditioning) =>
      pipeline.model.predict({ ...pipeline.params, unet }, noisy, timesteps, conditioning),
    schedule,
    prediction,
    objective,
    beta: settings.beta,
    weights: timestepWeights(settings.timestepWeight, schedule, prediction, {
      dataVariance,
      gamma: settings.snrGamma,
    }),
    timesteps: drawnTimesteps(settings.timesteps, schedule.numTrainTimesteps, settings.timestepRange),
  };
  const conditioning: PairConditioning = {
    model: pipeline.model,
    params: pipeline.params,
    tokenizer: clipTokenizer(pipeline.tokenizer),
    timeIds: settings.timeIds,
  };
  return { batch, task, conditioning, dataVariance, batches: trainingBatches(pairs, batch, conditioning) };
}

export type RunPlan = Awaited<ReturnType<typeof planRun>>;

/** Describes a run before its first step, line by line. */
export function describeRun(
  settings: TrainSettings,
  { batch, dataVariance }: RunPlan,
  { pairs, validation, trained }: { pairs: PairSource; validation: PairSource | undefined; trained: number },
): string[] {
  const [height, width] = targetSize(batch);
  const { beta, objective, timestepWeight } = settings;
  const ties = pairs.ties === 0 ? '' : `, ${pairs.ties} ties left out`;
  const heldOut = validation === undefined ? '' : `, ${validation.count} held out`;
  const perSum = beta / (3 * height * width);
  // KTO has no W_t, and only the constant weight is a single number.
  const summed =
    timestepWeight === 'constant' && objective !== 'kto'
      ? `β·W_t = ${(perSum / 2).toPrecision(3)} per summed one (W_t = ½)`
      : `${perSum.toPrecision(3)} per summed one`;
  // These objectives do not use β: only the logged margin does.
  const logged = 'of the margin that is watched only';
  const own =
    {
      sft: `, β ${logged}`,
      ipo: `, τ = ${settings.ipoTau}, β ${logged}`,
      mapo: `, b = ${settings.mapoWeight}, β ${logged}`,
    }[objective as string] ?? '';
  const weighted = timestepWeight === 'constant' ? '' : `; time steps weighted: ${timestepWeight}`;
  const measured = dataVariance === undefined ? '' : `, variance of the data ${dataVariance.toPrecision(3)}`;
  return [
    `${counted(pairs.count, 'pair')} of 3 × ${height} × ${width}${ties}${heldOut}`,
    `${settings.method === 'lora' ? 'LoRA, ' : ''}${trained.toLocaleString('en')} parameters to train, ${settings.optimiser}, learning rate ${settings.learningRate}`,
    `${objective}${own}, β = ${beta} per mean squared error, ${summed}${weighted}${measured}`,
  ];
}
