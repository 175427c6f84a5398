import { kohyaLoraTensors, type LoraPart, openPipelineLora } from 'diffusion-dpo/diffusion';
import { loraTensors } from 'diffusion-dpo/nn';
import { openDevice, setDefaultDevice, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { contents, namedTensors, opened, type PartAdapters, tinyAdapters } from './tinyAdapters.ts';

setDefaultDevice(await openDevice('reference'));

const sd15 = await tinyAdapters('sd15');
const sdxl = await tinyAdapters('sdxl');
const refiner = await tinyAdapters('refiner');

type Tiny = typeof sd15;

const readFrom = async (tensors: Record<string, Tensor>, { target }: Tiny, metadata: Record<string, string> = {}) => {
  const file = await openPipelineLora(await opened(tensors, metadata), target);
  const parts = await Promise.all(file.models.map(async (part) => [part, await file.read(part)] as const));
  return Object.fromEntries(parts) as PartAdapters;
};
/** As a file without alphas has it. */
const withoutAlphas = (adapters: PartAdapters): PartAdapters =>
  Object.fromEntries(
    Object.entries(adapters).map(([part, layers]) => [
      part,
      Object.fromEntries(Object.entries(layers).map(([path, one]) => [path, { ...one, alpha: 2 }])),
    ]),
  );
const expectSame = async (a: PartAdapters, b: PartAdapters) => expect(await contents(a)).toEqual(await contents(b));

const underscored = (path: string) => path.replaceAll('.', '_');

describe.each(Object.entries({ sd15, sdxl }))('adapters of %s are read by the names', (name, tiny) => {
  const parts = name === 'sd15' ? 2 : 3;

  test('of PEFT, with alphas in tensors, in the metadata or nowhere', async () => {
    const { adapters } = tiny;
    expect(Object.keys(adapters)).toHaveLength(parts);
    const peft = (part: string, path: string, half: 'down' | 'up') =>
      `${part}.${path}.lora_${half === 'down' ? 'A' : 'B'}.weight`;
    const plain = namedTensors(adapters, peft);
    await expectSame(await readFrom(plain, tiny), withoutAlphas(adapters));
    const alphas = Object.fromEntries(Object.keys(adapters).map((part) => [`${part}.lora_alpha`, 3]));
    const metadata = { lora_adapter_metadata: JSON.stringify(alphas) };
    await expectSame(await readFrom(plain, tiny, metadata), adapters);
    const inTensors = namedTensors(adapters, peft, (part, path) => `${part}.${path}.alpha`, tensor);
    await expectSame(await readFrom(inTensors, tiny), adapters);
  });

  test('of diffusers before PEFT', async () => {
    const between = (part: string) => (part === 'unet' ? 'lora' : 'lora_linear_layer');
    const tensors = namedTensors(
      tiny.adapters,
      (part, path, half) => `${part}.${path}.${between(part)}.${half}.weight`,
    );
    await expectSame(await readFrom(tensors, tiny), withoutAlphas(tiny.adapters));
  });

  test('of attention processors', async () => {
    const nameOf = (part: string, path: string, half: string): string => {
      const [, before, projection] = /^(.+\.attn\d)\.(to_[a-z]+)/.exec(path) ?? [];
      if (part === 'unet')
        return before === undefined
          ? `unet.${path}.lora.${half}.weight`
          : `unet.${before}.processor.${projection}_lora.${half}.weight`;
      const [, self, letter] = /^(.+\.self_attn)\.(q|k|v|out)_proj$/.exec(path) ?? [];
      return self === undefined
        ? `${part}.${path}.lora_linear_layer.${half}.weight`
        : `${part}.${self}.to_${letter}_lora.${half}.weight`;
    };
    const tensors = namedTensors(tiny.adapters, nameOf);
    expect(Object.keys(tensors).filter((key) => key.includes('.processor.to_out_lora.up.'))).not.toEqual([]);
    expect(Object.keys(tensors).filter((key) => key.includes('.self_attn.to_out_lora.up.'))).not.toEqual([]);
    await expectSame(await readFrom(tensors, tiny), withoutAlphas(tiny.adapters));
  });

  test('of kohya, with alphas', async () => {
    const fronts: Readonly<Record<string, string>> =
      name === 'sd15'
        ? { unet: 'lora_unet', text_encoder: 'lora_te' }
        : { unet: 'lora_unet', text_encoder: 'lora_te1', text_encoder_2: 'lora_te2' };
    const layer = (part: string, path: string) => `${fronts[part]}_${underscored(path)}`;
    const tensors = namedTensors(
      tiny.adapters,
      (part, path, half) => `${layer(part, path)}.lora_${half}.weight`,
      (part, path) => `${layer(part, path)}.alpha`,
      tensor,
    );
    await expectSame(await readFrom(tensors, tiny), tiny.adapters);
    // They are written so, too.
    const written = kohyaLoraTensors(tiny.config, tiny.adapters);
    expect(Object.keys(written).sort()).toEqual(Object.keys(tensors).sort());
    await expectSame(await readFrom(written, tiny), tiny.adapters);
  });

  test('that are written for diffusers, with alpha multiplied into B', async () => {
    const written = loraTensors(tiny.adapters);
    const again = loraTensors(await readFrom(written, tiny));
    expect(Object.keys(again).sort()).toEqual(Object.keys(written).sort());
    await expectSame(await readFrom(again, tiny), await readFrom(written, tiny));
  });
});

test('kohya’s names of SDXL may be those of the original layout', async () => {
  // Blocks of one residual block a level: 0 conv_in, 1 level 0, 2 halves it, 3 level 1; up 0 level 1, 1 too, 2 and 3 level 0.
  const names: Readonly<Record<string, string>> = {
    'down_blocks.0.resnets.0.conv1': 'input_blocks_1_0_in_layers_2',
    'down_blocks.0.downsamplers.0.conv': 'input_blocks_2_0_op',
    'down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q': 'input_blocks_3_1_transformer_blocks_1_attn1_to_q',
    'mid_block.attentions.0.proj_in': 'middle_block_1_proj_in',
    'up_blocks.0.attentions.1.transformer_blocks.0.ff.net.0.proj':
      'output_blocks_1_1_transformer_blocks_0_ff_net_0_proj',
    'up_blocks.0.upsamplers.0.conv': 'output_blocks_1_2_conv',
    'up_blocks.1.resnets.1.time_emb_proj': 'output_blocks_3_0_emb_layers_1',
    'time_embedding.linear_1': 'time_embed_0',
  };
  const unet = Object.fromEntries(Object.entries(sdxl.adapters.unet ?? {}).filter(([path]) => path in names));
  expect(Object.keys(unet).sort()).toEqual(Object.keys(names).sort());
  const layer = (path: string) => `lora_unet_${names[path]}`;
  const tensors = namedTensors(
    { unet },
    (_, path, half) => `${layer(path)}.lora_${half}.weight`,
    (_, path) => `${layer(path)}.alpha`,
    tensor,
  );
  await expectSame(await readFrom(tensors, sdxl), { unet });
});

test('the text encoder of the refiner is the second one of SDXL', async () => {
  const written = kohyaLoraTensors(refiner.config, refiner.adapters);
  expect(Object.keys(written).filter((name) => name.startsWith('lora_te2_text_model_'))).not.toEqual([]);
  await expectSame(await readFrom(written, refiner), refiner.adapters);
  const { text_encoder } = refiner.adapters;
  const peft = loraTensors({ text_encoder_2: text_encoder ?? {} });
  expect(Object.keys(await readFrom(peft, refiner))).toEqual(['text_encoder'] satisfies LoraPart[]);
  const metadata = { lora_adapter_metadata: JSON.stringify({ 'text_encoder_2.lora_alpha': 5 }) };
  const { text_encoder: found } = await readFrom(peft, refiner, metadata);
  expect(new Set(Object.values(found ?? {}).map(({ alpha }) => alpha))).toEqual(new Set([5]));
});

test('adapters of linear layers may be held as 1×1 convolutions, and the other way round', async () => {
  const path = 'mid_block.attentions.0.proj_in';
  const [linear, conv] = [sdxl, sd15].map(({ adapters }) => adapters.unet?.[path]);
  if (linear === undefined || conv === undefined) throw new Error('there is no such layer');
  expect([linear.down.shape, conv.down.shape]).toEqual([
    [2, 8],
    [2, 8, 1, 1],
  ]);
  const read = async (own: typeof linear, tiny: Tiny) =>
    (await readFrom(kohyaLoraTensors(tiny.config, { unet: { [path]: own } }), tiny)).unet ?? {};
  const other = { ...linear, down: linear.down.reshape([2, 8, 1, 1]), up: linear.up.reshape([8, 2, 1, 1]) };
  await expectSame({ unet: await read(other, sdxl) }, { unet: { [path]: linear } });
  const flat = { ...conv, down: conv.down.reshape([2, 8]), up: conv.up.reshape([8, 2]) };
  await expectSame({ unet: await read(flat, sd15) }, { unet: { [path]: conv } });
});
