import {
  activation as activationNamed,
  checkpointed,
  conv2d,
  groupNorm,
  type Layer,
  module,
  timestepEmbedding,
  timestepMlp,
} from '../../nn/index.ts';
import { concat, random, Tensor, TensorError } from '../../tensor/index.ts';
import { type BlockAttention, type Conditions, downBlock, midBlock, type ResnetSettings, upBlock } from './blocks.ts';

/** One size of images in a UNet: a block on the way down, or one on the way up. */
export interface Level {
  readonly channels: number;
  /** Residual blocks; on the way up there is one more. */
  readonly layers: number;
  /** The attention behind residual block `layer`, if the block has any. */
  readonly attention?: ((layer: number) => BlockAttention) | undefined;
}

/** Everything that tells one UNet from another. */
export interface UNetStructure {
  readonly inChannels: number;
  readonly outChannels: number;
  /** The way down, from the largest images to the smallest. */
  readonly down: readonly Level[];
  /** The way up, from the smallest images to the largest; channels and layers as on the way down. */
  readonly up: readonly Pick<Level, 'attention'>[];
  /** The block in the middle, if there is one: with attention, or one residual block alone. */
  readonly mid?:
    | { readonly attention?: BlockAttention | undefined; readonly residualBlocks: 1 | 2; readonly scaleFactor: number }
    | undefined;
  readonly resnet: ResnetSettings & { readonly embeddingDim: number };
  /** Of the last normalisation. */
  readonly outGroups: number;
  readonly downsamplePadding: 0 | 1;
  readonly convInKernel: number;
  readonly convOutKernel: number;
  /** Of the time embedding, and behind the last normalisation. */
  readonly activation: string;
  readonly time: { readonly flipSinToCos: boolean; readonly downscaleFreqShift: number };
  /** Sizes and pooled text that are added to the time embedding, as in SDXL. */
  readonly added?: { readonly timeWidth: number; readonly inputs: number } | undefined;
  /** Whether 2·x − 1 goes in instead of x. */
  readonly centerInput: boolean;
}

/** What a UNet may be told beside the noisy image and its time step. */
export interface UNetInputs {
  /** [N, tokens, width]: the text, for cross-attention (`encoder_hidden_states`). */
  readonly context?: Tensor | undefined;
  /** bool [N, tokens]: which tokens may be seen; default all. */
  readonly contextMask?: Tensor | undefined;
  /** SDXL's: the pooled text [N, width], and sizes and crops [N, 6] as numbers or as a tensor. */
  readonly added?:
    | { readonly textEmbeds: Tensor; readonly timeIds: readonly (readonly number[])[] | Tensor }
    | undefined;
  /** Turns dropout on. */
  readonly key?: Tensor | undefined;
}

/** Time steps of a batch: one for all, one for each, or on a device i32[N] or f32[N]. */
export type Timesteps = number | readonly number[] | Tensor;

/** Options of `unet` and `unet2dConditionModel` that are not part of a configuration. */
export interface UNetOptions {
  /** Whether blocks compute their inner values again in the backward pass instead of keeping them; default false. */
  readonly checkpointing?: boolean;
}

const groupsOf = (groups: number, channels: number, what: string): number => {
  if (channels % groups === 0) return groups;
  throw new TensorError(`${what}: ${channels} channels do not divide into ${groups} groups (norm_num_groups)`);
};

/**
 * A UNet (Ronneberger et al. 2015) with residual blocks and attention, as in DDPM and Stable Diffusion: sample
 * [N, inChannels, H, W] and time steps → [N, outChannels, H, W]. Odd sizes are allowed.
 */
export function unet(structure: UNetStructure, { checkpointing = false }: UNetOptions = {}) {
  const { down, mid, resnet, added, time } = structure;
  const widths = down.map(({ channels }) => channels);
  const [first, last] = [widths[0], widths.at(-1)];
  if (first === undefined || last === undefined) throw new TensorError('unet: there must be at least one block');
  const { embeddingDim } = resnet;
  const act = activationNamed(structure.activation);
  for (const channels of widths) groupsOf(resnet.groups, channels, 'unet');
  const wrap = <P, I extends readonly unknown[], O>(layer: Layer<P, I, O>): Layer<P, I, O> =>
    checkpointing ? checkpointed(layer) : layer;
  const padding = (size: number) => Math.floor((size - 1) / 2);

  return module(
    {
      conv_in: conv2d(structure.inChannels, first, structure.convInKernel, {
        padding: padding(structure.convInKernel),
      }),
      time_embedding: timestepMlp(first, embeddingDim, { activation: structure.activation }),
      add_embedding: added && timestepMlp(added.inputs, embeddingDim),
      down_blocks: down.map(({ channels, layers, attention }, i) =>
        wrap(
          downBlock({
            inputs: widths[i - 1] ?? first,
            outputs: channels,
            layers,
            resnet,
            attention,
            downsamplePadding: i + 1 < down.length ? structure.downsamplePadding : undefined,
          }),
        ),
      ),
      mid_block:
        mid &&
        wrap(
          midBlock({
            channels: last,
            resnet: { ...resnet, outputScaleFactor: mid.scaleFactor },
            attention: mid.attention,
            residualBlocks: mid.residualBlocks,
          }),
        ),
      up_blocks: structure.up.map(({ attention }, i) => {
        const at = down.length - 1 - i;
        const { channels, layers } = down[at] as Level;
        const below = widths[at - 1] ?? first;
        return wrap(
          upBlock({
            inputs: widths[at + 1] ?? last,
            outputs: channels,
            skips: [...new Array<number>(layers).fill(channels), below],
            resnet,
            attention,
            upsample: at > 0,
          }),
        );
      }),
      conv_norm_out: groupNorm(groupsOf(structure.outGroups, first, 'unet'), first, { eps: resnet.eps }),
      conv_out: conv2d(first, structure.outChannels, structure.convOutKernel, {
        padding: padding(structure.convOutKernel),
      }),
    },
    (layers, sample: Tensor, timesteps: Timesteps, inputs: UNetInputs = {}): Tensor => {
      const batch = sample.shape[0] as number;
      const { dtype } = sample;
      const waves = { ...time, dtype: dtype === 'f64' ? 'f64' : 'f32' } as const;
      let embedding = layers.time_embedding(timestepEmbedding(forBatch(timesteps, batch), first, waves).cast(dtype));
      if (layers.add_embedding !== undefined && added !== undefined) {
        if (inputs.added === undefined)
          throw new TensorError('unet: this model needs `added`: the pooled text and the sizes of the images');
        const { textEmbeds, timeIds } = inputs.added;
        const numbers = timeIds instanceof Tensor ? timeIds.reshape([timeIds.size]) : timeIds.flat();
        const sizes = timestepEmbedding(numbers, added.timeWidth, waves).cast(dtype);
        const perImage = sizes.reshape([batch, sizes.size / batch]);
        embedding = embedding.add(layers.add_embedding(concat([textEmbeds.cast(dtype), perImage], 1)));
      }
      const conditions = (block: number): Conditions => ({
        embedding,
        context: inputs.context?.cast(dtype),
        contextMask: inputs.contextMask?.reshape([batch, 1, 1, inputs.contextMask.shape[1] as number]),
        key: inputs.key && random.foldIn(inputs.key, block),
      });

      let h = layers.conv_in(structure.centerInput ? sample.mul(2).sub(1) : sample);
      const skips = [h];
      layers.down_blocks.forEach((block, i) => {
        const result = block(h, conditions(i));
        h = result.h;
        skips.push(...result.skips);
      });
      h = layers.mid_block?.(h, conditions(down.length)) ?? h;
      layers.up_blocks.forEach((block, i) => {
        const count = (down[down.length - 1 - i] as Level).layers + 1;
        const taken = skips.splice(skips.length - count);
        const size = skips.at(-1)?.shape.slice(2) as [number, number] | undefined;
        h = block(h, taken, conditions(down.length + 1 + i), size);
      });
      return layers.conv_out(act(layers.conv_norm_out(h)));
    },
  );
}

/** A time step for each image. */
function forBatch(timesteps: Timesteps, batch: number): readonly number[] | Tensor {
  if (typeof timesteps === 'number') return new Array<number>(batch).fill(timesteps);
  const count = timesteps instanceof Tensor ? timesteps.size : timesteps.length;
  if (count === batch) return timesteps;
  throw new TensorError(`unet: there are ${batch} images and ${count} time steps; give one for each, or one number`);
}
