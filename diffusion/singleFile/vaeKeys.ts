import { autoencoderKLFields } from '../autoencoder/autoencoderKL.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { readConfig } from '../config.ts';
import { type KeyRow, type KeyTable, keyTable } from './keyTable.ts';

const resnet: readonly KeyRow[] = [
  ['conv_shortcut', 'nin_shortcut'],
  // norm1, conv1, norm2 and conv2 have the same names.
  ['norm#', (which) => `norm${which}`],
  ['conv#', (which) => `conv${which}`],
];

/** A projection of attention, which is a 1×1 convolution in the original layout. */
const projection = (ours: string, original: string): readonly KeyRow[] => [
  [`${ours}.weight`, `${original}.weight`, 'conv'],
  [`${ours}.bias`, `${original}.bias`],
];

const attention: readonly KeyRow[] = [
  ['group_norm', 'norm'],
  ...projection('to_q', 'q'),
  ...projection('to_k', 'k'),
  ...projection('to_v', 'v'),
  ...projection('to_out.0', 'proj_out'),
];

/** What encoder and decoder have in common. */
const both: readonly KeyRow[] = [
  ['conv_in', 'conv_in'],
  ['mid_block.resnets.#', (which) => `mid.block_${which + 1}`, resnet],
  ['mid_block.attentions.0', 'mid.attn_1', attention],
  ['conv_norm_out', 'norm_out'],
  ['conv_out', 'conv_out'],
];

/** The names of an AutoencoderKL with so many levels. In the original layout the decoder's are numbered from the largest images. */
export function vaeKeys(levels: number): KeyTable {
  const up = (block: number): number => levels - 1 - block;
  return keyTable([
    [
      'encoder',
      'encoder',
      [
        ...both,
        ['down_blocks.#.resnets.#', (level, layer) => `down.${level}.block.${layer}`, resnet],
        ['down_blocks.#.downsamplers.0.conv', (level) => `down.${level}.downsample.conv`],
      ],
    ],
    [
      'decoder',
      'decoder',
      [
        ...both,
        ['up_blocks.#.resnets.#', (block, layer) => `up.${up(block)}.block.${layer}`, resnet],
        ['up_blocks.#.upsamplers.0.conv', (block) => `up.${up(block)}.upsample.conv`],
      ],
    ],
    ['quant_conv', 'quant_conv'],
    ['post_quant_conv', 'post_quant_conv'],
  ]);
}

/** The names of the autoencoder of a configuration. */
export const vaeKeysOf = (json: JsonObject): KeyTable =>
  vaeKeys(readConfig('AutoencoderKL', json, autoencoderKLFields).block_out_channels.length);
