import {
  beginningStep,
  type Conditioning,
  type DenoiseOptions,
  decodeSamples,
  denoise,
  encodeForSampling,
  encodePrompts,
  guides,
  imageKeys,
  type LoadedPipeline,
  type RunAutoencoderOptions,
  type RunStage,
  residentStages,
  type SamplerOptions,
  samplerFromConfig,
} from '../../diffusion/index.ts';
import { concat, dispose, read, realize, type Tensor } from '../../tensor/index.ts';
import { keyFor } from '../keys.ts';

/** A pipeline to sample from. */
export interface SampledPipeline extends LoadedPipeline {
  /** The `scheduler_config.json` that names the sampler. */
  readonly scheduler: Readonly<Record<string, unknown>>;
  /** Loads the parts of each stage; by default all are in memory, in `params`. */
  readonly stages?: RunStage | undefined;
}

/** Prompts, size, sampler settings and hooks of `sampleImages`. */
export interface SampleImagesOptions {
  /** One for each image. */
  readonly captions: readonly string[];
  /** Negative prompts, one for each image; default: the empty caption, or the pipeline's own default. */
  readonly negatives?: readonly string[] | undefined;
  /** Image i depends only on the seed, its caption and i. */
  readonly seed: number;
  /** The number of the first image; default 0. */
  readonly first?: number;
  /** [height, width] in pixels. */
  readonly size: readonly [number, number];
  readonly steps: number;
  /** Scale of classifier-free guidance; 1 or less turns it off. */
  readonly guidance: number;
  readonly rescale?: number;
  /** How many more of the text encoders' last layers are left out than usual; default 0. */
  readonly clipSkip?: number;
  /** An image [1, 3, height, width] in [−1, 1] to begin from, and the share of the steps that are made. */
  readonly from?: { readonly image: Tensor; readonly strength: number } | undefined;
  /** Images that are sampled together; default 64. */
  readonly batchSize?: number;
  /** Options of the sampler, such as `eta` of DDIM. */
  readonly sampler?: SamplerOptions;
  /** Options of the autoencoder, where there is one. */
  readonly autoencoder?: RunAutoencoderOptions;
  /** Called after each call of the network. */
  readonly onStep?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The number of steps that sampling makes: fewer than `steps` where it begins from an image. */
export function stepsOf(
  scheduler: SampledPipeline['scheduler'],
  { steps, from, sampler }: SampleImagesOptions,
): number {
  const trajectory = samplerFromConfig(scheduler, sampler)(steps);
  const begin = from === undefined ? 0 : beginningStep(trajectory, steps, from.strength);
  return trajectory.timesteps.length - begin;
}

/**
 * Samples one image per caption: f32[N, 3, height, width] on the host, row-major, about −1 to 1. Where the stages of a pipeline
 * are loaded one after the other, all captions are encoded first, and all latents are decoded last.
 */
export async function sampleImages(pipeline: SampledPipeline, options: SampleImagesOptions): Promise<Float32Array> {
  const { captions, batchSize = 64, onStep } = options;
  const total = Math.ceil(captions.length / batchSize) * stepsOf(pipeline.scheduler, options);
  const stage = pipeline.stages ?? residentStages(pipeline);
  const starts = Array.from({ length: Math.ceil(captions.length / batchSize) }, (_, i) => i * batchSize);
  // With all parts in memory, each batch goes through all stages before the next batch begins.
  const rounds = pipeline.stages === undefined ? starts.map((start) => [start]) : [starts];
  const images: Float32Array[] = [];
  let done = 0;
  for (const round of rounds) {
    const batches = round.map((start) => batchAt(start, options));
    const conditionings = await stage('text', (loaded) =>
      inTurn(batches, (batch) => condition(loaded, batch, options)),
    );
    const begins =
      options.from === undefined
        ? []
        : await stage('images', (loaded) =>
            inTurn(batches, (batch) => beginning(loaded, pipeline.scheduler, batch, options)),
          );
    const drawn = await stage('denoising', (loaded) =>
      inTurn(batches, (batch, i) =>
        draw(loaded, pipeline.scheduler, batch, options, conditionings[i] as Conditioning, begins[i], () =>
          onStep?.(++done, total),
        ),
      ),
    );
    dispose([conditionings, begins]);
    const decoded = await stage('images', (loaded) =>
      inTurn(drawn, async (samples, i) => {
        const pixels = await decodeSamples(loaded, samples, options.autoencoder);
        const values = (await read(pixels)) as Float32Array;
        dispose([samples, pixels]);
        const { count, length } = batches[i] as Batch;
        return values.subarray(0, (count * values.length) / length);
      }),
    );
    images.push(...decoded);
  }
  return joined(images);
}

/** Images that are sampled together. */
interface Batch {
  /** How many of the `length` images were asked for; the others repeat the last one. */
  readonly count: number;
  readonly length: number;
  readonly captions: readonly string[];
  readonly negatives: readonly string[] | undefined;
  readonly keys: readonly Tensor[];
}

/**
 * The batch that begins at caption `start`. The last one is filled up with its last caption: all have one shape, and so
 * one plan.
 */
function batchAt(start: number, { captions, negatives, seed, first = 0, batchSize = 64 }: SampleImagesOptions): Batch {
  const length = Math.min(batchSize, captions.length);
  const padded = (list: readonly string[]): string[] =>
    Array.from({ length }, (_, i) => list[Math.min(start + i, list.length - 1)] as string);
  return {
    ...{ count: Math.min(length, captions.length - start), length, captions: padded(captions) },
    negatives: negatives && padded(negatives),
    keys: imageKeys(keyFor(seed, 'images'), length, first + start),
  };
}

async function inTurn<T, U>(list: readonly T[], job: (one: T, index: number) => Promise<U>): Promise<U[]> {
  const results: U[] = [];
  for (const [index, one] of list.entries()) results.push(await job(one, index));
  return results;
}

const condition = (
  pipeline: LoadedPipeline,
  { captions, negatives }: Batch,
  { size, guidance, clipSkip = 0 }: SampleImagesOptions,
): Promise<Conditioning> =>
  realize(encodePrompts(pipeline, { prompts: captions, negatives, size, clipSkip, isGuided: guides(guidance) }));

/** The latents of the image to begin from, one row for each image of the batch, and the index of the first step. */
async function beginning(
  pipeline: LoadedPipeline,
  scheduler: SampledPipeline['scheduler'],
  { keys }: Batch,
  { from, steps, sampler, autoencoder }: SampleImagesOptions,
): Promise<DenoiseOptions['begin']> {
  if (from === undefined) return undefined;
  const rows = concat(new Array<Tensor>(keys.length).fill(from.image), 0);
  const original = await realize(await encodeForSampling(pipeline, rows, keys, autoencoder));
  return { original, index: beginningStep(samplerFromConfig(scheduler, sampler)(steps), steps, from.strength) };
}

const draw = (
  pipeline: LoadedPipeline,
  scheduler: SampledPipeline['scheduler'],
  { keys }: Batch,
  { size, steps, guidance, rescale = 0, sampler, signal }: SampleImagesOptions,
  conditioning: Conditioning,
  begin: DenoiseOptions['begin'],
  onStep: () => void,
): Promise<Tensor> =>
  denoise(pipeline, {
    ...{ conditioning, guidance, rescale, size, keys, begin, onStep },
    trajectory: samplerFromConfig(scheduler, sampler)(steps),
    ...(signal && { signal }),
  });

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
