import { readFile } from 'node:fs/promises';
import { type LoraPart, parseObject, type TextToImageConfig, textToImage } from 'diffusion-dpo/diffusion';
import { flattenTree, key } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { pipelineLoraLayers } from '../../../diffusion/lora/layerNames.ts';

const configOf = async (name: string) => {
  const path = `tests/golden/manifests/${name}.config.json`;
  return parseObject(await readFile(new URL(`../../../${path}`, import.meta.url)), path);
};

const published: Readonly<Record<string, TextToImageConfig>> = {
  sd15: { unet: await configOf('sd15_unet'), textEncoder: await configOf('sd15_text_encoder') },
  sdxl: {
    unet: await configOf('sdxl_unet'),
    textEncoder: await configOf('sdxl_text_encoder'),
    textEncoder2: await configOf('sdxl_text_encoder_2'),
  },
};

const namesOf = (config: TextToImageConfig) => {
  const params = textToImage(config).init(key(0)) as Readonly<Partial<Record<LoraPart, unknown>>>;
  return { params, layerOf: pipelineLoraLayers(config, params) };
};

describe.each(Object.entries(published))('the layers of %s as published', (name, config) => {
  const { params, layerOf } = namesOf(config);
  const fronts: Readonly<Partial<Record<string, string>>> =
    name === 'sd15'
      ? { unet: 'lora_unet_', text_encoder: 'lora_te_' }
      : { unet: 'lora_unet_', text_encoder: 'lora_te1_', text_encoder_2: 'lora_te2_' };

  test('have names that no two share, though dots become underscores', () => {
    const wrong = Object.entries(params).flatMap(([part, tree]) =>
      flattenTree(tree).flatMap(({ path }) => {
        if (!path.endsWith('.weight')) return [];
        const layer = path.slice(0, -'.weight'.length);
        const found = [layerOf(`${part}.${layer}`), layerOf(`${fronts[part]}${layer.replaceAll('.', '_')}`)];
        return found.every((one) => one?.model === part && one.path === layer) ? [] : [layer];
      }),
    );
    expect(wrong).toEqual([]);
  });
});

test('the names of the original layout are those of published files', () => {
  const { layerOf } = namesOf(published.sdxl as TextToImageConfig);
  // Of SDXL's files: the first and last transformers of the way down and up, and what is beside them.
  const known: Readonly<Record<string, string>> = {
    input_blocks_4_1_proj_in: 'down_blocks.1.attentions.0.proj_in',
    input_blocks_5_1_transformer_blocks_1_attn2_to_v: 'down_blocks.1.attentions.1.transformer_blocks.1.attn2.to_v',
    input_blocks_8_1_transformer_blocks_9_ff_net_0_proj:
      'down_blocks.2.attentions.1.transformer_blocks.9.ff.net.0.proj',
    input_blocks_3_0_op: 'down_blocks.0.downsamplers.0.conv',
    input_blocks_7_0_skip_connection: 'down_blocks.2.resnets.0.conv_shortcut',
    middle_block_1_transformer_blocks_9_attn1_to_out_0: 'mid_block.attentions.0.transformer_blocks.9.attn1.to_out.0',
    output_blocks_0_1_transformer_blocks_0_attn1_to_q: 'up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q',
    output_blocks_2_2_conv: 'up_blocks.0.upsamplers.0.conv',
    output_blocks_5_1_transformer_blocks_1_ff_net_2: 'up_blocks.1.attentions.2.transformer_blocks.1.ff.net.2',
    output_blocks_8_0_emb_layers_1: 'up_blocks.2.resnets.2.time_emb_proj',
    time_embed_2: 'time_embedding.linear_2',
    label_emb_0_0: 'add_embedding.linear_1',
    out_2: 'conv_out',
  };
  const found = Object.keys(known).map((name) => [name, layerOf(`lora_unet_${name}`)?.path]);
  expect(Object.fromEntries(found)).toEqual(known);
});
