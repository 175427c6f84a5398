import { split, type Tensor, TensorError } from '../tensor/index.ts';
import { activation as activationNamed } from './activations.ts';
import { conv2d } from './conv2d.ts';
import { dropout as drop } from './dropout.ts';
import { linear } from './linear.ts';
import { module } from './module.ts';
import { groupNorm } from './norms.ts';

/** Options of `resnetBlock`. */
export interface ResnetBlockOptions {
  readonly inputs: number;
  /** Default: as many channels as come in. */
  readonly outputs?: number;
  /** Width of the time embedding; without one the block takes none. */
  readonly embeddingDim?: number | undefined;
  readonly groups: number;
  /** Of the second normalisation; default as the first. */
  readonly outputGroups?: number;
  readonly eps: number;
  /** Default `silu`. */
  readonly activation?: string;
  /** Whether the embedding is added behind the first convolution (`default`) or scales and shifts the second norm. */
  readonly timeScaleShift?: 'default' | 'scale_shift';
  /** Whether the embedding has been activated before; default false. */
  readonly skipTimeActivation?: boolean;
  readonly dropout?: number;
  /** What the sum of both paths is divided by; default 1. */
  readonly outputScaleFactor?: number;
}

/**
 * Two normalised, activated 3 × 3 convolutions around a time embedding, and a shortcut: [N, inputs, H, W] and
 * [N, embeddingDim] → [N, outputs, H, W]; a key turns dropout on (diffusers' ResnetBlock2D).
 */
export function resnetBlock({
  inputs,
  outputs = inputs,
  embeddingDim,
  groups,
  outputGroups = groups,
  eps,
  activation = 'silu',
  timeScaleShift = 'default',
  skipTimeActivation = false,
  dropout = 0,
  outputScaleFactor = 1,
}: ResnetBlockOptions) {
  const act = activationNamed(activation);
  const scales = timeScaleShift === 'scale_shift';
  return module(
    {
      norm1: groupNorm(groups, inputs, { eps }),
      conv1: conv2d(inputs, outputs, 3, { padding: 1 }),
      time_emb_proj: embeddingDim === undefined ? undefined : linear(embeddingDim, scales ? 2 * outputs : outputs),
      norm2: groupNorm(outputGroups, outputs, { eps }),
      conv2: conv2d(outputs, outputs, 3, { padding: 1 }),
      conv_shortcut: inputs === outputs ? undefined : conv2d(inputs, outputs, 1),
    },
    (
      { norm1, conv1, time_emb_proj, norm2, conv2, conv_shortcut },
      x: Tensor,
      embedding?: Tensor,
      key?: Tensor,
    ): Tensor => {
      let h = conv1(act(norm1(x)));
      if (time_emb_proj !== undefined) {
        if (embedding === undefined) throw new TensorError('resnetBlock: this block needs a time embedding');
        const projected = time_emb_proj(skipTimeActivation ? embedding : act(embedding));
        const perChannel = projected.reshape([...projected.shape, 1, 1]);
        if (scales) {
          const [scale, shift] = split(perChannel, 2, 1) as [Tensor, Tensor];
          h = norm2(h).mul(scale.add(1)).add(shift);
        } else h = norm2(h.add(perChannel));
      } else h = norm2(h);
      h = conv2(drop(act(h), dropout, key));
      return (conv_shortcut === undefined ? x : conv_shortcut(x)).add(h).div(outputScaleFactor);
    },
  );
}
