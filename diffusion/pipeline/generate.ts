import { concat, random, split, type Tensor, TensorError, zerosLike } from '../../tensor/index.ts';
import { sampleLatents } from '../autoencoder/autoencoder.ts';
import { decodeLatents, encodeImages, type RunAutoencoderOptions } from '../autoencoder/runAutoencoder.ts';
import { guide } from '../samplers/guidance.ts';
import { type SampleOptions, sample } from '../samplers/sample.ts';
import type { Trajectory } from '../samplers/trajectory.ts';
import { type ClipTokenizerFiles, clipTokenizer } from '../text/clipTokenizer.ts';
import { aestheticScores, type MicroConditioning } from './microConditioning.ts';
import {
  type Conditioning,
  type PromptIds,
  type TextToImage,
  type TextToImageParams,
  tokenIds,
} from './textToImage.ts';

/** A pipeline's models and tokenizers. `params` may hold only the parts that a stage uses. */
export interface LoadedPipeline {
  readonly model: TextToImage;
  readonly params: TextToImageParams;
  readonly tokenizer: ClipTokenizerFiles;
  readonly tokenizer2?: ClipTokenizerFiles | undefined;
  readonly forceZerosForEmptyPrompt?: boolean | undefined;
}

/** Options of `encodePrompts`. */
export interface PromptOptions {
  /** One for each image. */
  readonly prompts: readonly string[];
  /** For the second text encoder; default: the prompts. */
  readonly prompts2?: readonly string[] | undefined;
  /** What guidance leads away from, one for each image; default: the empty prompt, or zeros where the pipeline says so. */
  readonly negatives?: readonly string[] | undefined;
  /** For the second text encoder; default: the negative prompts. */
  readonly negatives2?: readonly string[] | undefined;
  /** [height, width] in pixels. */
  readonly size: readonly [number, number];
  /** Whether guidance is used, so that negative prompts are needed too. */
  readonly isGuided: boolean;
  /** Layers of the text encoders that are left out for prompts; negative prompts keep all. */
  readonly clipSkip?: number;
  readonly sizes?: MicroConditioning;
  /** Of negative prompts; default as for prompts, but for the aesthetic score. */
  readonly negativeSizes?: MicroConditioning;
}

/** Whether a guidance scale does anything: as in diffusers, 1 and less are none. */
export const guides = (scale: number): boolean => scale > 1;

const joined = (one: Tensor | undefined, other: Tensor | undefined): Tensor | undefined =>
  one === undefined || other === undefined ? undefined : concat([one, other], 0);

/** Conditioning of prompts and, where guidance is used, of as many negative prompts behind them. */
export function encodePrompts(pipeline: LoadedPipeline, options: PromptOptions): Conditioning {
  const { model, params } = pipeline;
  const { prompts, prompts2 = prompts, negatives, size, isGuided, clipSkip = 0, sizes = {} } = options;
  const [first, second] = [pipeline.tokenizer, pipeline.tokenizer2 ?? pipeline.tokenizer].map(clipTokenizer);
  const ids = (texts: readonly string[], texts2: readonly string[]): PromptIds => {
    if (texts.length !== prompts.length || texts2.length !== prompts.length)
      throw new TensorError(`encodePrompts: there are ${prompts.length} prompts; give as many others, one for each`);
    const own = tokenIds(first as never, texts);
    return model.encoders === 1 ? own : [own, tokenIds(second as never, texts2)];
  };
  const positive = model.condition(params, ids(prompts, prompts2), size, { clipSkip, sizes });
  if (!isGuided) return positive;
  const negativeSizes = { ...sizes, aestheticScore: aestheticScores.negative, ...options.negativeSizes };
  const empty = prompts.map(() => '');
  const own = negatives ?? empty;
  // As in diffusers, no layers are skipped for negative prompts.
  const encoded = model.condition(params, ids(own, options.negatives2 ?? own), size, {
    sizes: negativeSizes,
  });
  const isZero =
    negatives === undefined && options.negatives2 === undefined && pipeline.forceZerosForEmptyPrompt === true;
  const zeroed = (x: Tensor | undefined): Tensor | undefined => (isZero && x !== undefined ? zerosLike(x) : x);
  const context = joined(positive.context, zeroed(encoded.context));
  if (positive.added === undefined || encoded.added === undefined) return { context };
  const textEmbeds = concat([positive.added.textEmbeds, zeroed(encoded.added.textEmbeds) as Tensor], 0);
  const timeIds = [positive.added.timeIds, encoded.added.timeIds].flatMap((rows) => rows as readonly number[][]);
  return { context, added: { textEmbeds, timeIds } };
}

/** Options of `denoise`. */
export interface DenoiseOptions extends Omit<SampleOptions, 'model' | 'shape' | 'begin'> {
  /** What `encodePrompts` gave for as many images as there are keys. */
  readonly conditioning: Conditioning;
  /** Scale of classifier-free guidance (Ho & Salimans 2022); 1 and less are none. */
  readonly guidance: number;
  /** Share of guided predictions that is brought back to the contrast of unguided ones (Lin et al. 2023). */
  readonly rescale?: number;
  /** [height, width] in pixels. */
  readonly size: readonly [number, number];
  /** Scaled latents [N, …] to begin from, at a step of the trajectory. */
  readonly begin?: SampleOptions['begin'];
}

/** Draws images, or scaled latents where the pipeline works on these, [N, channels, height/factor, width/factor]. */
export function denoise(
  { model, params }: Pick<LoadedPipeline, 'model' | 'params'>,
  { conditioning, guidance, rescale = 0, size, begin, ...options }: DenoiseOptions,
): Promise<Tensor> {
  const odd = size.find((pixels) => pixels % model.factor !== 0);
  if (odd !== undefined)
    throw new TensorError(`sample: a side of ${odd} pixels is no multiple of ${model.factor}, the size of a latent`);
  const channels = params.unet.conv_in.weight.shape[1] as number;
  const latents = model.autoencoder?.latentChannels;
  if (latents !== undefined && latents !== channels)
    throw new TensorError(`sample: the UNet takes ${channels} channels, but the autoencoder has ${latents}`);
  return sample({
    ...options,
    ...(begin && { begin }),
    shape: [channels, ...size.map((pixels) => pixels / model.factor)],
    model: (x, timestep) => {
      if (!guides(guidance)) return model.predict(params, x, timestep, conditioning);
      const both = model.predict(params, concat([x, x], 0), timestep, conditioning);
      const [conditional, unconditional] = split(both, 2, 0) as [Tensor, Tensor];
      return guide(conditional, unconditional, { scale: guidance, rescale });
    },
  });
}

/** Images in about [−1, 1] of what `denoise` gave. */
export async function decodeSamples(
  { model, params }: Pick<LoadedPipeline, 'model' | 'params'>,
  samples: Tensor,
  options?: RunAutoencoderOptions,
): Promise<Tensor> {
  const { autoencoder } = model;
  if (autoencoder === undefined) return samples;
  return decodeLatents(autoencoder, params.vae, autoencoder.unscaleLatents(samples), options);
}

/** A draw of each image's own key that no step of a sampler uses. */
const encodingDraw = 0x7fff_ffff;

/** Scaled latents of images [N, 3, H, W] in [−1, 1], drawn with one key for each image; images themselves on pixels. */
export async function encodeForSampling(
  { model, params }: Pick<LoadedPipeline, 'model' | 'params'>,
  images: Tensor,
  keys: readonly Tensor[],
  options?: RunAutoencoderOptions,
): Promise<Tensor> {
  const { autoencoder } = model;
  if (autoencoder === undefined) return images;
  const { mean, logVariance } = await encodeImages(autoencoder, params.vae, images, options);
  const row = (x: Tensor, i: number) => x.sliceAxis(0, i, i + 1);
  const drawn = keys.map((key, i) =>
    sampleLatents(
      { mean: row(mean, i), logVariance: logVariance && row(logVariance, i) },
      random.foldIn(key, encodingDraw),
    ),
  );
  return autoencoder.scaleLatents(concat(drawn, 0));
}

/**
 * The step at which image-to-image begins: of `steps`, the last `strength`·`steps` are made, as in diffusers.
 * @throws TensorError where that is none, or `strength` is not between 0 and 1.
 */
export function beginningStep(trajectory: Trajectory, steps: number, strength: number): number {
  const made = Math.min(Math.trunc(steps * strength), steps);
  if (!(strength > 0 && strength <= 1 && made >= 1))
    throw new TensorError(
      `strength must be above 0 and at most 1, and leave one of the ${steps} steps at least; it is ${strength}`,
    );
  return Math.min(steps - made, trajectory.timesteps.length - 1);
}
