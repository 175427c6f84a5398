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

/** What images are drawn with. */
export interface SampledPipeline extends LoadedPipeline {
  /** The `scheduler_config.json` that names the sampler. */
  readonly scheduler: Readonly<Record<string, unknown>>;
  /** How the parts of each stage come into memory; default: they are there, in `params`. */
  readonly stages?: RunStage | undefined;
}

export interface SampleImagesOptions {
  /** One for each image. */
  readonly captions: readonly string[];
  /** What guidance leads away from, one for each image; default: the empty caption, or what the pipeline says. */
  readonly negatives?: readonly string[] | undefined;
  /** Image i depends on the seed, its caption and i alone. */
  readonly seed: number;
  /** The number of the first image; default 0. */
  readonly first?: number;
  /** [height, width] in pixels. */
  readonly size: readonly [number, number];
  readonly steps: number;
  /** Scale of classifier-free guidance; 1 and less are none. */
  readonly guidance: number;
  readonly rescale?: number;
  /** How many of the text encoders' last layers are left out beyond the usual; default 0. */
  readonly clipSkip?: number;
  /** An image [1, 3, height, width] in [−1, 1] to begin from, and the share of the steps that change it. */
  readonly from?: { readonly image: Tensor; readonly strength: number } | undefined;
  /** Images that are drawn together; default 64. */
  readonly batchSize?: number;
  /** Of the sampler, such as `eta` of DDIM. */
  readonly sampler?: SamplerOptions;
  /** Of the autoencoder, where there is one. */
  readonly autoencoder?: RunAutoencoderOptions;
  /** Told how many network calls of how many are done. */
  readonly onStep?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** How many steps a run of `steps` makes: fewer where it begins from an image. */
export function stepsOf(
  scheduler: SampledPipeline['scheduler'],
  { steps, from, sampler }: SampleImagesOptions,
): number {
  const trajectory = samplerFromConfig(scheduler, sampler)(steps);
  const begin = from === undefined ? 0 : beginningStep(trajectory, steps, from.strength);
  return trajectory.timesteps.length - begin;
}

/**
 * Images of captions: f32[N, 3, height, width] on the host, row-major, about −1 to 1. Where the stages of a pipeline are
 * loaded one after the other, all captions are encoded first, and all latents are decoded last.
 */
export async function sampleImages(pipeline: SampledPipeline, options: SampleImagesOptions): Promise<Float32Array> {
  const { captions, batchSize = 64, onStep } = options;
  const total = Math.ceil(captions.length / batchSize) * stepsOf(pipeline.scheduler, options);
  const stage = pipeline.stages ?? residentStages(pipeline);
  const starts = Array.from({ length: Math.ceil(captions.length / batchSize) }, (_, i) => i * batchSize);
  // With everything in memory, each batch goes through all stages before the next one is begun.
  const rounds = pipeline.stages === undefined ? starts.map((start) => [start]) : [starts];
  const images: Float32Array[] = [];
  let done = 0;
  for (const round of rounds) {
    const batches = round.map((start) => batchAt(start, options));
    const conditionings = await stage('text', (own) => inTurn(batches, (batch) => condition(own, batch, options)));
    const begins =
      options.from === undefined
        ? []
        : await stage('images', (own) =>
            inTurn(batches, (batch) => beginning(own, pipeline.scheduler, batch, options)),
          );
    const drawn = await stage('denoising', (own) =>
      inTurn(batches, (batch, i) =>
        draw(own, pipeline.scheduler, batch, options, conditionings[i] as Conditioning, begins[i], () =>
          onStep?.(++done, total),
        ),
      ),
    );
    dispose([conditionings, begins]);
    const decoded = await stage('images', (own) =>
      inTurn(drawn, async (samples, i) => {
        const pixels = await decodeSamples(own, samples, options.autoencoder);
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

/** Images that are drawn together. */
interface Batch {
  /** How many of the images are asked for; the others repeat the last one. */
  readonly count: number;
  readonly length: number;
  readonly captions: readonly string[];
  readonly negatives: readonly string[] | undefined;
  readonly keys: readonly Tensor[];
}

/** A last batch that is not full repeats its last caption: one shape, hence one plan, for all. */
function batchAt(start: number, { captions, negatives, seed, first = 0, batchSize = 64 }: SampleImagesOptions): Batch {
  const length = Math.min(batchSize, captions.length);
  const own = (list: readonly string[]): string[] =>
    Array.from({ length }, (_, i) => list[Math.min(start + i, list.length - 1)] as string);
  return {
    ...{ count: Math.min(length, captions.length - start), length, captions: own(captions) },
    negatives: negatives && own(negatives),
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

/** The latents of the image to begin from, one row for each image, and the step to begin at. */
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
