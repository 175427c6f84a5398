import { downsample2d, type Layer, module, type ResnetBlockOptions, resnetBlock, upsample2d } from '../../nn/index.ts';
import { concat, random, type Tensor, TensorError } from '../../tensor/index.ts';

/** What every block is given beside the image; the blocks of autoencoders are given nothing. */
export interface Conditions {
  /** [N, embeddingDim], of the time step and whatever else applies to the whole image. */
  readonly embedding?: Tensor | undefined;
  /** [N, tokens, contextDim], what cross-attention looks at. */
  readonly context?: Tensor | undefined;
  /** Which tokens of the context may be seen: broadcasts to [N, heads, queries, tokens]. */
  readonly contextMask?: Tensor | undefined;
  /** Turns dropout on. */
  readonly key?: Tensor | undefined;
}

/** Attention behind a residual block, to itself or to the context. */
export type BlockAttention = Layer<unknown, [x: Tensor, context?: Tensor, mask?: Tensor]>;

/** What all residual blocks of a UNet have in common. */
export type ResnetSettings = Omit<ResnetBlockOptions, 'inputs' | 'outputs'>;

interface BlockOptions {
  readonly resnet: ResnetSettings;
  /** The attention behind residual block `layer`, if the block has any. */
  readonly attention?: ((layer: number) => BlockAttention) | undefined;
}

export interface DownBlockOptions extends BlockOptions {
  readonly inputs: number;
  readonly outputs: number;
  readonly layers: number;
  /** Whether, and with which padding, the block ends with half the size. */
  readonly downsamplePadding: 0 | 1 | undefined;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** The key of one residual block among those that share a key. */
const keyOf = ({ key }: Conditions, layer: number): Tensor | undefined => key && random.foldIn(key, layer);

/** Residual blocks, each with its attention, and halving; gives the image and everything that the way up will need. */
export function downBlock({
  inputs,
  outputs,
  layers,
  resnet,
  attention,
  downsamplePadding: padding,
}: DownBlockOptions) {
  return module(
    {
      resnets: range(layers).map((i) => resnetBlock({ ...resnet, inputs: i === 0 ? inputs : outputs, outputs })),
      attentions: attention && range(layers).map(attention),
      downsamplers: padding === undefined ? undefined : [downsample2d(outputs, { padding })],
    },
    ({ resnets, attentions, downsamplers }, x: Tensor, conditions: Conditions) => {
      const { embedding, context, contextMask } = conditions;
      const skips: Tensor[] = [];
      let h = x;
      resnets.forEach((one, i) => {
        h = one(h, embedding, keyOf(conditions, i));
        h = attentions?.[i]?.(h, context, contextMask) ?? h;
        skips.push(h);
      });
      for (const downsample of downsamplers ?? []) {
        h = downsample(h);
        skips.push(h);
      }
      return { h, skips };
    },
  );
}

export interface MidBlockOptions {
  readonly channels: number;
  readonly resnet: ResnetSettings;
  readonly attention?: BlockAttention | undefined;
  readonly residualBlocks: 1 | 2;
}

/** The block at the smallest size: a residual block, or two with attention between them. */
export function midBlock({ channels, resnet, attention, residualBlocks }: MidBlockOptions) {
  return module(
    {
      attentions: attention && [attention],
      resnets: range(residualBlocks).map(() => resnetBlock({ ...resnet, inputs: channels })),
    },
    ({ attentions, resnets }, x: Tensor, conditions: Conditions): Tensor => {
      const { embedding, context, contextMask } = conditions;
      return resnets.reduce((h, one, i) => {
        const attended = i === 0 ? h : (attentions?.[i - 1]?.(h, context, contextMask) ?? h);
        return one(attended, embedding, keyOf(conditions, i));
      }, x);
    },
  );
}

export interface UpBlockOptions extends BlockOptions {
  /** Channels of what comes from below. */
  readonly inputs: number;
  readonly outputs: number;
  /** Channels of what each residual block is given from the way down, in the order in which they run. */
  readonly skips: readonly number[];
  /** Whether the block ends with twice the size. */
  readonly upsample: boolean;
}

/** Residual blocks that each take up one image from the way down, with their attention, and doubling. */
export function upBlock({ inputs, outputs, skips, resnet, attention, upsample }: UpBlockOptions) {
  return module(
    {
      resnets: skips.map((skip, i) => resnetBlock({ ...resnet, inputs: (i === 0 ? inputs : outputs) + skip, outputs })),
      attentions: attention && skips.map((_, i) => attention(i)),
      upsamplers: upsample ? [upsample2d(outputs)] : undefined,
    },
    (
      { resnets, attentions, upsamplers },
      x: Tensor,
      /** From the way down, the one that is taken first last. */
      taken: readonly Tensor[],
      conditions: Conditions,
      /** Of the images that the next block takes up: images of odd sizes do not double exactly. */
      size?: readonly [height: number, width: number],
    ): Tensor => {
      const { embedding, context, contextMask } = conditions;
      const h = resnets.reduce((from, one, i) => {
        const skip = taken[taken.length - 1 - i];
        if (skip === undefined) throw new TensorError(`upBlock: needs ${resnets.length} skips, got ${taken.length}`);
        const next = one(concat([from, skip], 1), embedding, keyOf(conditions, i));
        return attentions?.[i]?.(next, context, contextMask) ?? next;
      }, x);
      return (upsamplers ?? []).reduce((small, up) => up(small, size), h);
    },
  );
}
