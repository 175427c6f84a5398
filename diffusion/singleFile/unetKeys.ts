import type { JsonObject } from '../checkpoint/json.ts';
import { readConfig } from '../config.ts';
import { unet2dConditionModelFields } from '../unet/unet2dConditionModel.ts';
import { type KeyRow, type KeyTable, keyTable } from './keyTable.ts';

/** Inside of a residual block. */
const resnet: readonly KeyRow[] = [
  ['norm1', 'in_layers.0'],
  ['conv1', 'in_layers.2'],
  ['time_emb_proj', 'emb_layers.1'],
  ['norm2', 'out_layers.0'],
  ['conv2', 'out_layers.3'],
  ['conv_shortcut', 'skip_connection'],
];

/** What of a UNet's structure decides how the original layout numbers its blocks. */
export interface UNetNumbering {
  /** Residual blocks on each level of the way down; the way up has one more. */
  readonly layersPerBlock: number;
  /** For each block of the way up, deepest first, whether it has attention. */
  readonly upAttention: readonly boolean[];
  /**
   * Whether blocks are numbered as if each level had two residual blocks on the way down, as files have it of models with one that were
   * converted with the numbers of Stable Diffusion 1; default false.
   */
  readonly hasGaps?: boolean;
}

/**
 * The names of a UNet2DConditionModel in the original layout (CompVis' and Stability's UNetModel): blocks are numbered through, those
 * that halve or double included; inside, attention stands behind its residual block.
 */
export function unetKeys({ layersPerBlock, upAttention, hasGaps = false }: UNetNumbering): KeyTable {
  const stride = hasGaps ? 3 : layersPerBlock + 1;
  // What doubles stands behind the residual block and its attention; with gaps, as in Stable Diffusion 1, whose deepest block has none.
  const isSecond = (block: number): boolean => (hasGaps ? block > 0 : upAttention[block] === true);
  const down = (level: number, layer: number): string => `input_blocks.${1 + level * stride + layer}`;
  const up = (block: number, layer: number): string => `output_blocks.${block * stride + layer}`;
  return keyTable([
    ['conv_in', 'input_blocks.0.0'],
    ['time_embedding.linear_1', 'time_embed.0'],
    ['time_embedding.linear_2', 'time_embed.2'],
    ['add_embedding.linear_1', 'label_emb.0.0'],
    ['add_embedding.linear_2', 'label_emb.0.2'],
    ['down_blocks.#.resnets.#', (level, layer) => `${down(level, layer)}.0`, resnet],
    ['down_blocks.#.attentions.#', (level, layer) => `${down(level, layer)}.1`],
    ['down_blocks.#.downsamplers.0.conv', (level) => `${down(level, stride - 1)}.0.op`],
    ['mid_block.resnets.0', 'middle_block.0', resnet],
    ['mid_block.attentions.0', 'middle_block.1'],
    ['mid_block.resnets.1', 'middle_block.2', resnet],
    ['up_blocks.#.resnets.#', (block, layer) => `${up(block, layer)}.0`, resnet],
    ['up_blocks.#.attentions.#', (block, layer) => `${up(block, layer)}.1`],
    ['up_blocks.#.upsamplers.0.conv', (block) => `${up(block, stride - 1)}.${isSecond(block) ? 2 : 1}.conv`],
    ['conv_norm_out', 'out.0'],
    ['conv_out', 'out.2'],
  ]);
}

/**
 * The names of the UNet of a configuration.
 * @returns undefined where the original layout has no such UNet: with other numbers of residual blocks on each level
 */
export function unetKeysOf(json: JsonObject, hasGaps = false): KeyTable | undefined {
  const { layers_per_block: layers, up_block_types: up } = readConfig(
    'UNet2DConditionModel',
    json,
    unet2dConditionModelFields,
  );
  const [first, ...others] = typeof layers === 'number' ? [layers] : layers;
  if (first === undefined || others.some((one) => one !== first)) return undefined;
  return unetKeys({ layersPerBlock: first, upAttention: up.map((type) => type === 'CrossAttnUpBlock2D'), hasGaps });
}
