import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loraArgument, openPipelineLora } from 'diffusion-dpo/diffusion';
import { openPipeline, withLoras } from 'diffusion-dpo/diffusion/node';
import { loraTensors } from 'diffusion-dpo/nn';
import { openDevice, setDefaultDevice, type Tensor, zeros } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyLatents } from '../pipeline/tinyLatents.ts';
import { opened, tinyAdapters } from './tinyAdapters.ts';

setDefaultDevice(await openDevice('reference'));

const sd15 = await tinyAdapters('sd15');
const open = async (tensors: Record<string, Tensor>, metadata: Record<string, string> = {}) =>
  openPipelineLora(await opened(tensors, metadata), sd15.target);
const messageOf = async (tensors: Record<string, Tensor>) => {
  const error = await open(tensors).catch((reason: unknown) => reason);
  expect(error).toHaveProperty('name', 'FormatError');
  return (error as Error).message;
};

const layer = 'lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q';
const halves = { [`${layer}.lora_down.weight`]: zeros([2, 8]), [`${layer}.lora_up.weight`]: zeros([8, 2]) };

describe('what is given with --lora', () => {
  test.each([
    ['style.safetensors', 'style.safetensors', 1],
    ['style.safetensors:0.8', 'style.safetensors', 0.8],
    ['style.safetensors:-1', 'style.safetensors', -1],
    ['style:.5', 'style', 0.5],
    ['a:2:3e-1', 'a:2', 0.3],
    ['C:\\loras\\x.safetensors', 'C:\\loras\\x.safetensors', 1],
    ['C:\\loras\\x.safetensors:0.5', 'C:\\loras\\x.safetensors', 0.5],
    ['C:\\1.5\\style', 'C:\\1.5\\style', 1],
    ['dir.safetensors:x/y.safetensors', 'dir.safetensors:x/y.safetensors', 1],
  ])('%s', (text, path, scale) => {
    expect(loraArgument(text)).toEqual({ path, scale });
  });

  test.each([
    ['', 'names no file'],
    [':0.5', 'names no file'],
    ['x.safetensors:', 'has nothing where its scale should be'],
    ['x.safetensors:strong', 'has "strong" where its scale should be'],
    ['x.safetensors:1e999', 'has a scale beyond all numbers'],
  ])('%j is refused', (text, why) => {
    expect(() => loraArgument(text)).toThrow(
      `a LoRA is given as FILE or FILE:scale, such as style.safetensors:0.8; ${JSON.stringify(text)} ${why}`,
    );
  });
});

describe('a file is refused', () => {
  test('with a list of the tensors that fit no layer', async () => {
    const q = 'unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q';
    const message = await messageOf({
      ...halves,
      'lora_unet_mid_block_attentions_0_to_q.lora_down.weight': zeros([2, 8]),
      'lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight': zeros([2, 8]),
      'lora_unet_conv_in.lora_down.weight': zeros([2, 4, 3, 3]),
      'lora_unet_conv_out.lora_down.weight': zeros([2, 9, 3, 3]),
      'lora_unet_conv_out.lora_up.weight': zeros([4, 2, 1, 1]),
      [`${q}.lora_A.weight`]: zeros([2, 8]),
      'unet.time_proj.bias': zeros([2]),
    });
    expect(message.split('\n')).toEqual([
      'style.safetensors: cannot be applied to the model DIR: there are 6 problems:',
      "  'lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight' belongs to no layer of unet or text_encoder",
      "  'lora_unet_mid_block_attentions_0_to_q.lora_down.weight' belongs to no layer of unet or text_encoder",
      `  '${layer}.lora_down.weight' and '${q}.lora_A.weight' are two names of one tensor`,
      "  'unet.time_proj.bias' is not the name of a part of an adapter",
      "  unet: 'conv_in' has A (down), but no B (up)",
      "  unet: A (down) of 'conv_out', whose weight is [4, 8, 3, 3], must be [rank, 8, 3, 3], not [2, 9, 3, 3]",
    ]);
  });

  test.each([
    ['dora_scale', 'DoRA, which also scales the rows of weights'],
    ['lora_magnitude_vector', 'DoRA, which also scales the rows of weights'],
    ['hada_w1_a', 'LoHa, which multiplies two products of low rank element by element'],
    ['lokr_w1', 'LoKr, which is a Kronecker product'],
    ['lora_mid.weight', 'LoCon with Tucker decomposition, which has a third tensor between A and B'],
    ['oft_blocks', 'OFT, which rotates weights'],
    ['diff', 'whole differences of weights, which are no product of low rank'],
  ])('that has tensors %s, by the name of its method', async (end, method) => {
    expect(await messageOf({ ...halves, [`${layer}.${end}`]: zeros([8]) })).toBe(
      `style.safetensors: cannot be applied to the model DIR: the file is of the method ${method} ('${layer}.${end}'); ` +
        'only plain LoRA is supported',
    );
  });

  test('of another method once, however many tensors it has', async () => {
    const ends = ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b'];
    const tensors = Object.fromEntries(ends.map((end) => [`${layer}.${end}`, zeros([2, 2])]));
    expect(await messageOf({ ...tensors, [`${layer}.alpha`]: zeros([]) })).toBe(
      'style.safetensors: cannot be applied to the model DIR: the file is of the method LoHa, which multiplies two products of low rank ' +
        `element by element ('${layer}.hada_w1_a' and 3 more); only plain LoRA is supported`,
    );
  });

  test.each([
    ['model.diffusion_model.input_blocks.0.0.weight', 'but a whole checkpoint in the original layout'],
    ['down_blocks.0.resnets.0.conv1.weight', "but a UNet alone, with diffusers' names"],
    ['first_stage_model.encoder.conv_in.weight', 'but an autoencoder alone'],
    ['emb_params', 'but an embedding of textual inversion'],
    ['something.weight', 'it holds 1 tensors, such as something.weight'],
  ])('that holds %s, as what it is', async (name, what) => {
    expect(await messageOf({ [name]: zeros([4, 4]) })).toContain(`style.safetensors: this is no LoRA, ${what}`);
  });

  test.each([
    [768, 'text of width 768 (Stable Diffusion 1)'],
    [2048, 'text of width 2048 (Stable Diffusion XL)'],
    [5, 'text of width 5'],
  ])('that is made for text of width %d, as of another model', async (width, text) => {
    const tensors = {
      'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight': zeros([2, width]),
      'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight': zeros([8, 2]),
    };
    expect(await messageOf(tensors)).toBe(
      `style.safetensors: this LoRA is of another model than DIR: it is made for a UNet that attends to ${text}, ` +
        'and this one attends to text of width 8; use it with the model that it was trained on',
    );
  });
});

describe('files on disk', () => {
  let folder = '';
  const at = (name: string) => join(folder, name);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lora-'));
    await writeTinyLatents(at('sd15'), 'sd15');
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('that are pickles are named as what they are', async () => {
    await writeFile(at('style.pt'), Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x2e, 0, 0, 0, 0, 0, 0));
    const source = await openPipeline(at('sd15'));
    await expect(withLoras(source, [{ path: at('style.pt'), scale: 1 }])).rejects.toThrow('a pickle of PyTorch');
  });

  test('that diffusers would find no fault with are read, whatever models they leave out', async () => {
    const file = await open(loraTensors({ text_encoder: sd15.adapters.text_encoder ?? {} }));
    expect(file.models).toEqual(['text_encoder']);
    expect(await file.read('unet')).toEqual({});
  });
});
