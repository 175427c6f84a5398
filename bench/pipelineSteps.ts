import { noiseSchedule, textToImage } from 'diffusion-dpo/diffusion';
import { loadPipelineFolder } from 'diffusion-dpo/diffusion/node';
import { pairBatches, preferenceSteps, pretraining, trainKeys } from 'diffusion-dpo/dpo';
import { openPairs } from 'diffusion-dpo/dpo/node';
import { countParameters } from 'diffusion-dpo/nn';
import { type Device, key, random, realize, type Tensor, zeros } from 'diffusion-dpo/tensor';
import { settingsOf } from '../dpo/cli/settings.node.ts';
import { optimiserOf } from '../dpo/train/optimiserOf.ts';
import { pairTensors } from '../dpo/train/pairTensors.ts';
import { fullPolicy } from '../dpo/train/policy.ts';
import { planRun } from '../dpo/train/runPlan.ts';

/** A training step whose graph is built but not run. */
export interface Step {
  /** The tree to realize. */
  readonly results: unknown;
  /** The tree to donate. */
  readonly donate: unknown;
  /** Builds the step after it. */
  readonly next: () => Promise<Step>;
}

/** The steps of a training. */
export interface PipelineSteps {
  /** A description for the report. */
  readonly about: string;
  readonly first: () => Promise<Step>;
}

/** Trains a text-to-image model of 3.6 million parameters from scratch on random images of 16 × 16. */
export async function pretrainingSteps(batchSize: number): Promise<PipelineSteps> {
  const [size, width, tokens, vocabulary] = [16, 64, 16, 600];
  const model = textToImage({
    unet: {
      _class_name: 'UNet2DConditionModel',
      sample_size: size,
      in_channels: 3,
      out_channels: 3,
      block_out_channels: [32, 64, 112],
      down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
      up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
      layers_per_block: 1,
      norm_num_groups: 8,
      attention_head_dim: [2, 4, 4],
      cross_attention_dim: width,
      use_linear_projection: true,
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 8,
      projection_class_embeddings_input_dim: 6 * 8 + width,
    },
    textEncoder: {
      architectures: ['CLIPTextModelWithProjection'],
      model_type: 'clip_text_model',
      vocab_size: vocabulary,
      hidden_size: width,
      intermediate_size: 4 * width,
      projection_dim: width,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      max_position_embeddings: tokens,
      hidden_act: 'quick_gelu',
      eos_token_id: 2,
    },
  });
  const [images, ids, emptyIds] = (await realize([
    random.normal(key(1), [256, 3, size, size]),
    random.randint(key(2), [256, tokens], 0, vocabulary),
    zeros([1, tokens], { dtype: 'i32' }),
  ])) as [Tensor, Tensor, Tensor];
  const training = pretraining({
    model,
    schedule: noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' }),
    prediction: 'epsilon',
    data: { images, ids, emptyIds },
    batchSize,
    learningRate: 1e-3,
    learningRateSchedule: () => 1,
    captionDropout: 0.1,
    weightDecay: 0.01,
    maxGradientNorm: 1,
    emaDecay: 0.999,
    key: key(0),
  });
  const initial = await training.init(await realize(model.init(key(0))));
  const stepFrom = async (state: typeof initial): Promise<Step> => {
    const results = training.step(state);
    const { loss: _, ...after } = results;
    return { results, donate: state, next: () => stepFrom(after) };
  };
  return {
    about: `${countParameters(initial.optimiser.params)} parameters, ${batchSize} images of ${size} × ${size} a step`,
    first: () => stepFrom(initial),
  };
}

/** Trains all parameters beside a frozen reference, as `diffusion-dpo train --config FILE` does. */
export async function tuningSteps(file: string, device: Device): Promise<PipelineSteps> {
  const settings = await settingsOf('train', { config: file }, trainKeys);
  const { method, reference, accumulation } = settings;
  if (method !== 'full' || reference !== 'model' || accumulation !== 1)
    throw new Error(`${file}: steps are measured with method full, reference model and accumulation 1 only`);
  const pipeline = await loadPipelineFolder(settings.model, { device, dtype: settings.storage });
  const pairs = await openPairs(settings.pairs);
  const { task, batch, conditioning } = await planRun(settings, pipeline, pairs);
  const policy = await fullPolicy(pipeline.params.unet, { hasReference: true });
  const training = preferenceSteps({
    ...{ task, policy },
    optimiser: optimiserOf<typeof policy.initial>(settings.optimiser, {
      weightDecay: settings.weightDecay,
      hasHalves: settings.storage !== 'f32',
    }),
    maxGradientNorm: settings.maxGradientNorm ?? undefined,
  });
  const stream = pairBatches(pairs, batch);
  const stepFrom = async (state: ReturnType<typeof training.init>, index: number): Promise<Step> => {
    const { value } = await stream.next();
    if (value === undefined) throw new Error('the pairs came to an end');
    const { batch: inputs, leaves } = pairTensors(conditioning, value);
    const results = training.step(
      ...([state, undefined, 1, inputs, random.foldIn(key(settings.seed), index)] as const),
      settings.learningRate,
    );
    return { results, donate: [leaves, state], next: () => stepFrom(results.state, index + 1) };
  };
  const initial = await realize(training.init(policy.initial, undefined));
  return {
    about: `${countParameters(policy.initial)} parameters and a frozen copy, ${settings.batchSize} pairs of ${settings.objective} a step`,
    first: () => stepFrom(initial, 0),
  };
}
