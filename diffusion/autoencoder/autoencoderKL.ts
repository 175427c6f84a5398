import {
  activation as activationNamed,
  conv2d,
  groupNorm,
  module,
  resnetBlock,
  spatialAttention,
  upsample2d,
} from '../../nn/index.ts';
import { split, type Tensor, TensorError, tensor } from '../../tensor/index.ts';
import {
  boolean,
  type ConfigOf,
  integer,
  integers,
  integerUpTo,
  number,
  numberOrNull,
  numbersOrNull,
  readConfig,
  text,
  texts,
} from '../config.ts';
import { type BlockAttention, downBlock, midBlock, type ResnetSettings } from '../unet/blocks.ts';
import { blockTypes } from '../unet/unet2dModel.ts';
import { checkDepth, mostLayers, sampleSize } from '../unet/unetFields.ts';
import type { Autoencoder, LatentDistribution } from './autoencoder.ts';

export const autoencoderKLFields = {
  in_channels: integer(3),
  out_channels: integer(3),
  down_block_types: texts(['DownEncoderBlock2D']),
  up_block_types: texts(['UpDecoderBlock2D']),
  block_out_channels: integers([64]),
  layers_per_block: integerUpTo(mostLayers, 1),
  act_fn: text('silu'),
  latent_channels: integer(4),
  norm_num_groups: integer(32),
  // The size of the images that the model was trained on. Tiles do not depend on it.
  sample_size: sampleSize,
  // Files of 2022 lack it and mean Stable Diffusion 1's.
  scaling_factor: number(0.18215),
  shift_factor: numberOrNull(null),
  latents_mean: numbersOrNull(null),
  latents_std: numbersOrNull(null),
  // Says that f16 overflows inside; nothing here is computed in f16.
  force_upcast: boolean(true),
  use_quant_conv: boolean(true),
  use_post_quant_conv: boolean(true),
  mid_block_add_attention: boolean(true),
} as const;

/** What a `config.json` of diffusers' AutoencoderKL says, with its defaults filled in. */
export type AutoencoderKLConfig = ConfigOf<typeof autoencoderKLFields>;

const model = 'AutoencoderKL';
/** Of every normalisation. */
const eps = 1e-6;

/** What encoder and decoder have in common. */
interface Structure {
  readonly widths: readonly number[];
  readonly layers: number;
  readonly resnet: ResnetSettings;
  readonly groups: number;
  readonly activation: string;
  readonly hasAttention: boolean;
}

/** The layers at the smallest size: residual block, attention with one head, residual block. */
const middle = ({ widths, resnet, groups, hasAttention }: Structure) => {
  const channels = widths.at(-1) as number;
  const attention = spatialAttention({ channels, heads: 1, groups, eps }) as BlockAttention;
  return midBlock({ channels, resnet, residualBlocks: 2, attention: hasAttention ? attention : undefined });
};

/** Images [N, inputs, H, W] → [N, outputs, H/2^(levels−1), W/2^(levels−1)]. */
function encoder(inputs: number, outputs: number, structure: Structure) {
  const { widths, layers, resnet, groups, activation } = structure;
  const [first, last] = [widths[0] as number, widths.at(-1) as number];
  const act = activationNamed(activation);
  return module(
    {
      conv_in: conv2d(inputs, first, 3, { padding: 1 }),
      down_blocks: widths.map((channels, i) =>
        downBlock({
          ...{ inputs: widths[i - 1] ?? first, outputs: channels, layers, resnet },
          downsamplePadding: i + 1 < widths.length ? 0 : undefined,
        }),
      ),
      mid_block: middle(structure),
      conv_norm_out: groupNorm(groups, last, { eps }),
      conv_out: conv2d(last, outputs, 3, { padding: 1 }),
    },
    ({ conv_in, down_blocks, mid_block, conv_norm_out, conv_out }, x: Tensor): Tensor => {
      const small = down_blocks.reduce((h, block) => block(h, {}).h, conv_in(x));
      return conv_out(act(conv_norm_out(mid_block(small, {}))));
    },
  );
}

/** Residual blocks, and doubling; the decoder of an autoencoder takes nothing from the way down. */
function upDecoderBlock(inputs: number, outputs: number, layers: number, resnet: ResnetSettings, doubles: boolean) {
  return module(
    {
      resnets: Array.from({ length: layers }, (_, i) =>
        resnetBlock({ ...resnet, inputs: i === 0 ? inputs : outputs, outputs }),
      ),
      upsamplers: doubles ? [upsample2d(outputs)] : undefined,
    },
    ({ resnets, upsamplers }, x: Tensor): Tensor => {
      const h = resnets.reduce((from, one) => one(from), x);
      return (upsamplers ?? []).reduce((small, up) => up(small), h);
    },
  );
}

/** Latents [N, inputs, h, w] → images [N, outputs, h·2^(levels−1), w·2^(levels−1)]. */
function decoder(inputs: number, outputs: number, structure: Structure) {
  const { widths, layers, resnet, groups, activation } = structure;
  const [first, last] = [widths[0] as number, widths.at(-1) as number];
  const act = activationNamed(activation);
  const upwards = widths.toReversed();
  return module(
    {
      conv_in: conv2d(inputs, last, 3, { padding: 1 }),
      mid_block: middle(structure),
      up_blocks: upwards.map((channels, i) =>
        upDecoderBlock(upwards[i - 1] ?? last, channels, layers + 1, resnet, i + 1 < upwards.length),
      ),
      conv_norm_out: groupNorm(groups, first, { eps }),
      conv_out: conv2d(first, outputs, 3, { padding: 1 }),
    },
    ({ conv_in, mid_block, up_blocks, conv_norm_out, conv_out }, z: Tensor): Tensor => {
      const large = up_blocks.reduce((h, block) => block(h), mid_block(conv_in(z), {}));
      return conv_out(act(conv_norm_out(large)));
    },
  );
}

/** The mean and log variance that the encoder's channels hold, one half each. */
function distributionOf(moments: Tensor): LatentDistribution {
  const [mean, logVariance] = split(moments, 2, 1) as [Tensor, Tensor];
  return { mean, logVariance: logVariance.clamp(-30, 20) };
}

/**
 * The autoencoder of Stable Diffusion (Rombach et al. 2022; diffusers' AutoencoderKL) from its `config.json`. Applied to
 * images it gives them decoded from the mean of their latents.
 * @throws TensorError that lists every field of the configuration that cannot be used.
 */
export function autoencoderKL(json: unknown) {
  const config = readConfig(model, json, autoencoderKLFields);
  const widths = config.block_out_channels;
  if (widths.length === 0)
    throw new TensorError(`${model}: block_out_channels is empty; there must be one block at least`);
  checkDepth(
    model,
    widths.length,
    widths.map(() => config.layers_per_block),
  );
  const [down, up] = [config.down_block_types, config.up_block_types];
  blockTypes(model, 'down_block_types', down, { DownEncoderBlock2D: true }, widths.length);
  blockTypes(model, 'up_block_types', up, { UpDecoderBlock2D: true }, widths.length);
  const groups = config.norm_num_groups;
  const odd = widths.find((channels) => channels % groups !== 0);
  if (odd !== undefined)
    throw new TensorError(`${model}: ${odd} channels do not divide into ${groups} groups (norm_num_groups)`);
  const activation = config.act_fn;
  const structure: Structure = {
    ...{ widths, groups, activation, layers: config.layers_per_block, hasAttention: config.mid_block_add_attention },
    resnet: { groups, eps, activation },
  };
  const channels = config.latent_channels;
  const layers = {
    encoder: encoder(config.in_channels, 2 * channels, structure),
    decoder: decoder(channels, config.out_channels, structure),
    quant_conv: config.use_quant_conv ? conv2d(2 * channels, 2 * channels, 1) : undefined,
    post_quant_conv: config.use_post_quant_conv ? conv2d(channels, channels, 1) : undefined,
  };
  const encodeMoments = module(layers, (bound, images: Tensor) => {
    const moments = bound.encoder(images);
    return bound.quant_conv?.(moments) ?? moments;
  });
  const decode = module(layers, (bound, latents: Tensor) => bound.decoder(bound.post_quant_conv?.(latents) ?? latents));
  type Params = ReturnType<typeof decode.init>;
  const encode = (params: Params, images: Tensor) => distributionOf(encodeMoments.apply(params, images));
  return {
    init: decode.init,
    apply: (params, images) => decode.apply(params, encode(params, images).mean),
    ...{ encode, encodeMoments: encodeMoments.apply, distributionOf, decode: decode.apply },
    latentChannels: channels,
    factor: 2 ** (widths.length - 1),
    ...latentScale(config),
  } satisfies Autoencoder<Params> as Autoencoder<Params>;
}

/** `latents_mean` and `latents_std` are for each channel, and take the place of `shift_factor` (Playground 2.5). */
function latentScale({
  scaling_factor: scale,
  shift_factor: shift,
  latents_mean: means,
  latents_std: deviations,
  latent_channels: channels,
}: AutoencoderKLConfig): Pick<Autoencoder, 'scaleLatents' | 'unscaleLatents'> {
  if (!(scale !== 0)) throw new TensorError(`${model}: scaling_factor must not be 0`);
  if (means === null || deviations === null) {
    if (means !== null || deviations !== null)
      throw new TensorError(`${model}: latents_mean and latents_std must be given together`);
    return {
      scaleLatents: (z) => z.sub(shift ?? 0).mul(scale),
      unscaleLatents: (z) => z.div(scale).add(shift ?? 0),
    };
  }
  const perChannel = (name: string, values: readonly number[], like: Tensor): Tensor => {
    if (values.length === channels)
      return tensor(values, { dtype: 'f32' }).reshape([1, channels, 1, 1]).cast(like.dtype);
    throw new TensorError(`${model}: ${name} has ${values.length} numbers, but there are ${channels} latent channels`);
  };
  return {
    scaleLatents: (z) =>
      z
        .sub(perChannel('latents_mean', means, z))
        .mul(scale)
        .div(perChannel('latents_std', deviations, z)),
    unscaleLatents: (z) =>
      z
        .mul(perChannel('latents_std', deviations, z))
        .div(scale)
        .add(perChannel('latents_mean', means, z)),
  };
}
