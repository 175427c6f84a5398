import { activation as activationNamed, conv2d, type Layer, module } from '../../nn/index.ts';
import { resizeNearest, type Tensor, TensorError } from '../../tensor/index.ts';
import {
  boolean,
  type ConfigOf,
  ignored,
  integer,
  integers,
  integersUpTo,
  number,
  oneOf,
  readConfig,
  text,
} from '../config.ts';
import { checkDepth, mostLayers } from '../unet/unetFields.ts';
import type { Autoencoder, LatentDistribution } from './autoencoder.ts';

export const autoencoderTinyFields = {
  in_channels: integer(3),
  out_channels: integer(3),
  encoder_block_out_channels: integers([64, 64, 64, 64]),
  decoder_block_out_channels: integers([64, 64, 64, 64]),
  // A copy of the encoder's, for pipelines that count levels.
  block_out_channels: ignored,
  act_fn: text('relu'),
  upsample_fn: oneOf('nearest'),
  latent_channels: integer(4),
  upsampling_scaling_factor: integer(2),
  num_encoder_blocks: integersUpTo(mostLayers, [1, 3, 3, 3]),
  num_decoder_blocks: integersUpTo(mostLayers, [3, 3, 3, 1]),
  latent_magnitude: number(3),
  latent_shift: number(0.5),
  // Nothing here is computed in f16.
  force_upcast: boolean(false),
  scaling_factor: number(1),
  shift_factor: number(0),
} as const;

/** What a `config.json` of diffusers' AutoencoderTiny says, with its defaults filled in. */
export type AutoencoderTinyConfig = ConfigOf<typeof autoencoderTinyFields>;

const model = 'AutoencoderTiny';

type Step = Layer<unknown>;
/** Layers by their numbers in PyTorch's Sequential, where activations and upsamplers count too and have no parameters. */
type Sequence = Readonly<Record<number, Step>>;

/** A function without parameters as a step of a sequence; undefined in the parameters. */
type Move = (x: Tensor) => Tensor;

/** Runs layers and functions one after the other; the parameters are those of the layers, by their places. */
function sequence(steps: readonly (Step | Move)[]) {
  const layers: Record<number, Step> = {};
  steps.forEach((step, i) => {
    if (typeof step !== 'function') layers[i] = step;
  });
  return module(
    layers as Sequence & Readonly<Record<string, Step>>,
    (bound, x: Tensor): Tensor =>
      steps.reduce((h, step, i) => (typeof step === 'function' ? step(h) : (bound[i] as Move)(h)), x),
  );
}

/** Three convolutions with a residual connection, activated behind it (diffusers' AutoencoderTinyBlock). */
function tinyBlock(channels: number, act: Move): Step {
  const conv = () => conv2d(channels, channels, 3, { padding: 1 }) as Step;
  return module(
    { conv: sequence([conv(), act, conv(), act, conv()]) },
    (bound, x: Tensor): Tensor => bound.conv(x).add(x).relu(),
  ) as Step;
}

const blocks = (count: number, channels: number, act: Move): Step[] =>
  Array.from({ length: count }, () => tinyBlock(channels, act));

/** One level for each entry; all must have as many channels, since blocks take what the level before gives. */
function levelsOf(what: string, widths: readonly number[], counts: readonly number[]): number {
  const width = widths[0];
  if (width === undefined || counts.length !== widths.length || widths.some((other) => other !== width))
    throw new TensorError(
      `${model}: ${what}_block_out_channels (${widths.join(', ')}) must be equal numbers, as many as num_${what}_blocks (${counts.join(', ')})`,
    );
  checkDepth(model, widths.length, counts);
  return width;
}

/** An AutoencoderTiny also packs latents into [0, 1], as they can be stored in an image's bytes. */
interface TinyAutoencoder<Params> extends Autoencoder<Params> {
  /** z/(2·magnitude) + shift, clamped to [0, 1]. */
  toUnit(latents: Tensor): Tensor;
  /** The inverse of `toUnit`, where nothing was clamped. */
  fromUnit(unit: Tensor): Tensor;
}

/**
 * The small autoencoder for previews and small machines (TAESD, Ollin Boer Bohan 2023; diffusers' AutoencoderTiny) from its
 * `config.json`. Its latents are those that the diffusion model sees, so the published files scale them by 1.
 * @throws TensorError that lists every field of the configuration that cannot be used.
 */
export function autoencoderTiny(json: unknown) {
  const config = readConfig(model, json, autoencoderTinyFields);
  const act = activationNamed(config.act_fn);
  const channels = config.latent_channels;
  const [encoderCounts, decoderCounts] = [config.num_encoder_blocks, config.num_decoder_blocks];
  const width = levelsOf('encoder', config.encoder_block_out_channels, encoderCounts);
  const decoderWidth = levelsOf('decoder', config.decoder_block_out_channels, decoderCounts);
  const times = config.upsampling_scaling_factor;
  const enlarge: Move = (x) => resizeNearest(x, [times * (x.shape[2] as number), times * (x.shape[3] as number)]);

  const encoder = sequence([
    ...encoderCounts.flatMap((count, i) => [
      i === 0
        ? (conv2d(config.in_channels, width, 3, { padding: 1 }) as Step)
        : (conv2d(width, width, 3, { padding: 1, stride: 2, bias: false }) as Step),
      ...blocks(count, width, act),
    ]),
    conv2d(width, channels, 3, { padding: 1 }) as Step,
  ]);
  const decoder = sequence([
    conv2d(channels, decoderWidth, 3, { padding: 1 }) as Step,
    act,
    ...decoderCounts.flatMap((count, i) => {
      const isLast = i + 1 === decoderCounts.length;
      const outputs = isLast ? config.out_channels : decoderWidth;
      return [
        ...blocks(count, decoderWidth, act),
        ...(isLast ? [] : [enlarge]),
        conv2d(decoderWidth, outputs, 3, { padding: 1, bias: isLast }) as Step,
      ];
    }),
  ]);
  const layers = { encoder: { layers: encoder }, decoder: { layers: decoder } };
  // Inside, images are in [0, 1], and latents are squeezed into (−3, 3).
  const encode = module(layers, (bound, images: Tensor) => bound.encoder.layers(images.add(1).div(2)));
  const decode = module(layers, (bound, latents: Tensor) =>
    bound.decoder.layers(latents.div(3).tanh().mul(3)).mul(2).sub(1),
  );
  type Params = ReturnType<typeof decode.init>;
  const { scaling_factor: scale, shift_factor: shift, latent_magnitude: magnitude, latent_shift: middle } = config;
  return {
    init: decode.init,
    apply: (params: Params, images: Tensor) => decode.apply(params, encode.apply(params, images)),
    encode: (params: Params, images: Tensor): LatentDistribution => ({ mean: encode.apply(params, images) }),
    encodeMoments: encode.apply,
    distributionOf: (mean: Tensor): LatentDistribution => ({ mean }),
    decode: decode.apply,
    latentChannels: channels,
    factor: 2 ** (encoderCounts.length - 1),
    scaleLatents: (z: Tensor) => z.sub(shift).mul(scale),
    unscaleLatents: (z: Tensor) => z.div(scale).add(shift),
    toUnit: (z: Tensor) =>
      z
        .div(2 * magnitude)
        .add(middle)
        .clamp(0, 1),
    fromUnit: (unit: Tensor) => unit.sub(middle).mul(2 * magnitude),
  } satisfies TinyAutoencoder<Params>;
}
