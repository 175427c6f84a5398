import {
  type ClipTokenizerFiles,
  clipTokenizer,
  guide,
  imageKeys,
  type SamplerOptions,
  sample,
  samplerFromConfig,
  type TextToImage,
  type TextToImageParams,
  tokenIds,
} from '../../diffusion/index.ts';
import { concat, dispose, read, realize, split, type Tensor } from '../../tensor/index.ts';
import { keyFor } from '../keys.ts';

/** What images are drawn with. */
export interface SampledPipeline {
  readonly model: TextToImage;
  readonly params: TextToImageParams;
  readonly tokenizer: ClipTokenizerFiles;
  readonly scheduler: Readonly<Record<string, unknown>>;
}

export interface SampleImagesOptions {
  /** One for each image. */
  readonly captions: readonly string[];
  /** Image i depends on the seed, its caption and i alone. */
  readonly seed: number;
  /** The number of the first image; default 0. */
  readonly first?: number;
  /** [height, width] */
  readonly size: readonly [number, number];
  readonly steps: number;
  /** Scale of classifier-free guidance; 1 is none. */
  readonly guidance: number;
  readonly rescale?: number;
  /** Images that are drawn together; default 64. */
  readonly batchSize?: number;
  /** Of the sampler, such as `eta` of DDIM. */
  readonly sampler?: SamplerOptions;
  /** Told how many network calls of how many are done. */
  readonly onStep?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Images of captions: f32[N, channels, height, width] on the host, row-major, about −1 to 1. */
export async function sampleImages(pipeline: SampledPipeline, options: SampleImagesOptions): Promise<Float32Array> {
  const { model, params, scheduler } = pipeline;
  const { captions, seed, first = 0, size, steps, guidance, rescale = 0, batchSize = 64, onStep, signal } = options;
  const tokenizer = clipTokenizer(pipeline.tokenizer);
  const sampler = samplerFromConfig(scheduler, options.sampler);
  const channels = (params.unet.conv_in.weight as Tensor).shape[1] as number;
  const shape = [channels, ...size];
  const imageSize = shape.reduce((a, b) => a * b, 1);
  const images = new Float32Array(captions.length * imageSize);
  const total = Math.ceil(captions.length / batchSize) * steps;
  const isGuided = guidance !== 1;
  let done = 0;
  for (let from = 0; from < captions.length; from += batchSize) {
    // A last batch that is not full repeats its last caption: one shape, hence one plan, for all.
    const size_ = Math.min(batchSize, captions.length);
    const own = Array.from({ length: size_ }, (_, i) => captions[Math.min(from + i, captions.length - 1)] as string);
    const asked = isGuided ? [...own, ...own.map(() => '')] : own;
    const conditioning = await realize(model.condition(params, tokenIds(tokenizer, asked), size));
    const drawn = await sample({
      trajectory: sampler(steps),
      model: (x, timestep) => {
        if (!isGuided) return model.predict(params, x, timestep, conditioning);
        const both = model.predict(params, concat([x, x], 0), timestep, conditioning);
        const [conditional, unconditional] = split(both, 2, 0) as [Tensor, Tensor];
        return guide(conditional, unconditional, { scale: guidance, rescale });
      },
      keys: imageKeys(keyFor(seed, 'images'), size_, first + from),
      shape,
      onStep: () => onStep?.(++done, total),
      ...(signal === undefined ? {} : { signal }),
    });
    const values = (await read(drawn)) as Float32Array;
    images.set(values.subarray(0, Math.min(size_, captions.length - from) * imageSize), from * imageSize);
    dispose([drawn, conditioning]);
  }
  return images;
}
