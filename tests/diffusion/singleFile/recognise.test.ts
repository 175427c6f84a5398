import { unet2dConditionModel } from 'diffusion-dpo/diffusion';
import { flattenTree, key, type Shape, sizeOf } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { knownConfigs } from '../../../diffusion/singleFile/chooseConfigs.ts';
import { checkParts, textPart, unetPart, vaePart } from '../../../diffusion/singleFile/fileParts.ts';
import { knownUNets } from '../../../diffusion/singleFile/knownUNets.ts';
import { recognise } from '../../../diffusion/singleFile/recognise.ts';
import { publishedUNets } from '../publishedConfigs.ts';
import { knownUNet } from './fullLayouts.ts';
import { hollow, publishedTensors } from './hollowFiles.ts';

type Shapes = ReadonlyMap<string, Shape>;

/** Recognises a file, chooses configurations and compares all tensors, as opening does. */
function check(shapes: Shapes): string {
  const file = hollow(shapes);
  const recognised = recognise(file);
  const configs = knownConfigs(file, recognised);
  const { texts, hasVae } = recognised;
  const parts = [
    unetPart(configs.unet, { hasGaps: recognised.hasGaps }),
    ...texts.map((place, i) => textPart(configs.texts[i] ?? configs.texts[0], place)),
    ...(hasVae && configs.vae ? [vaePart(configs.vae)] : []),
  ];
  checkParts(file, parts, { title: 'not these', texts });
  return configs.name;
}

const renamed = (shapes: Shapes, rename: (name: string) => string): Map<string, Shape> =>
  new Map([...shapes].map(([name, shape]) => [rename(name), shape]));
const without = (shapes: Shapes, isLeft: (name: string) => boolean): Map<string, Shape> =>
  new Map([...shapes].filter(([name]) => !isLeft(name)));
const only = (shapes: Shapes, prefix: string, as = prefix): Map<string, Shape> =>
  renamed(
    without(shapes, (name) => !name.startsWith(prefix)),
    (name) => as + name.slice(prefix.length),
  );
const all = (names: readonly string[]): Map<string, Shape> => new Map(names.map((name) => [name, [4, 4]]));

const first = publishedTensors('Stable Diffusion 1');
const second = publishedTensors('Stable Diffusion 2');

test.each(knownUNets.map(({ name }) => name))('%s is told by its keys, blocks and widths', (name) => {
  expect(check(publishedTensors(name))).toBe(name);
});

test.each([
  ['stabilityai/stable-diffusion-2-1', 'Stable Diffusion 2'],
  ['stabilityai/stable-diffusion-xl-refiner-1.0', 'the refiner of Stable Diffusion XL'],
  ['segmind/small-sd', 'BK-SDM-Base'],
  ['segmind/tiny-sd', 'BK-SDM-Tiny'],
])('%s has as many parameters as %s in the table', (published, name) => {
  const leaves = flattenTree(unet2dConditionModel(knownUNet(name).config).init(key(0)));
  const count = leaves.reduce((sum, { tensor }) => sum + sizeOf(tensor.shape), 0);
  expect(count).toBe(publishedUNets[published]?.parameters);
});

describe('what files have beside the weights is passed over', () => {
  test('tables of the schedule, averages, position ids and markers', () => {
    const extra: [string, Shape][] = [
      ['alphas_cumprod', [1000]],
      ['betas', [1000]],
      ['model_ema.decay', []],
      ['model_ema.diffusion_modelinput_blocks00weight', [320, 4, 3, 3]],
      ['cond_stage_model.transformer.text_model.embeddings.position_ids', [1, 77]],
      ['first_stage_model.loss.logvar', []],
      ['v_pred', [0]],
    ];
    expect(check(new Map([...first, ...extra]))).toBe('Stable Diffusion 1');
  });

  test("the last layer and the projection of Stable Diffusion 2's text encoder, but no further layer", () => {
    const prefix = 'cond_stage_model.model.';
    const layer = (index: number): Map<string, Shape> =>
      renamed(only(second, `${prefix}transformer.resblocks.22.`), (name) => name.replace('.22.', `.${index}.`));
    const spare = new Map([...second, ...layer(23), [`${prefix}text_projection`, [1024, 1024]] as const]);
    expect(check(spare)).toBe('Stable Diffusion 2');
    expect(() => check(new Map([...spare, ...layer(24)]))).toThrow(/unexpected \(12\):\n.*resblocks\.24/);
  });
});

describe('other names of the same', () => {
  test('a text encoder without text_model, as in files of 2022', () => {
    expect(check(renamed(first, (name) => name.replace('.text_model.', '.')))).toBe('Stable Diffusion 1');
  });

  test("Stable Diffusion 2 with the names of Stability's newer code", () => {
    const newer = renamed(second, (name) => name.replace('cond_stage_model.', 'conditioner.embedders.0.'));
    expect(check(newer)).toBe('Stable Diffusion 2');
  });

  test('one residual block a level, numbered as if there were two', () => {
    // As diffusers' script for Stable Diffusion 1 names any model: block 3i + j, and what doubles in block 3i + 2.
    const gaps = (name: string): string =>
      name.replace(
        /(in|out)put_blocks\.(\d+)\.(\d+)\.(\w+)/,
        (_, way: string, block: string, inner: string, kind: string) => {
          const [index, isInput] = [Number(block), way === 'in'];
          if (isInput && index === 0) return `input_blocks.0.${inner}.${kind}`;
          const place = isInput ? index - 1 : index;
          const [level, layer] = [Math.floor(place / 2), place % 2];
          if (isInput) return `input_blocks.${1 + 3 * level + (kind === 'op' ? 2 : layer)}.${inner}.${kind}`;
          if (kind === 'conv') return `output_blocks.${3 * level + 2}.${level === 0 ? 1 : 2}.conv`;
          return `output_blocks.${3 * level + layer}.${inner}.${kind}`;
        },
      );
    for (const name of ['BK-SDM-Base', 'BK-SDM-Small', 'BK-SDM-Tiny']) {
      const shapes = renamed(publishedTensors(name), gaps);
      expect(check(shapes)).toBe(name);
      const blocks = (way: string) => [
        ...new Set(
          [...shapes.keys()].flatMap((key) => new RegExp(`\\.${way}put_blocks\\.(\\d+)\\.0\\.`).exec(key)?.[1] ?? []),
        ),
      ];
      if (name === 'BK-SDM-Tiny') {
        expect(
          blocks('in')
            .map(Number)
            .sort((a, b) => a - b),
        ).toEqual([0, 1, 3, 4, 6, 7]);
        expect(
          blocks('out')
            .map(Number)
            .sort((a, b) => a - b),
        ).toEqual([0, 1, 3, 4, 6, 7]);
      }
    }
  });

  test('linear layers where the autoencoder has 1×1 convolutions', () => {
    const isProjection = /^first_stage_model\..*attn_1\.(q|k|v|proj_out)\.weight$/;
    const linear = new Map(
      [...first].map(([name, shape]) => [name, isProjection.test(name) ? shape.slice(0, 2) : shape]),
    );
    expect(check(linear)).toBe('Stable Diffusion 1');
  });
});

test('all tensors that are missing, superfluous or mis-shaped are in one message, by their names in the file', () => {
  const changed = new Map<string, Shape>(first);
  changed.delete('model.diffusion_model.time_embed.0.bias');
  changed.delete('first_stage_model.encoder.down.0.block.0.norm1.weight');
  changed.set('cond_stage_model.transformer.text_model.final_layer_norm.bias', [767]);
  changed.set('model.diffusion_model.more', [3]);
  expect(() => check(changed)).toThrow(
    [
      'not these:',
      '  missing (2):',
      '    model.diffusion_model.time_embed.0.bias [1280]',
      '    first_stage_model.encoder.down.0.block.0.norm1.weight [128]',
      '  unexpected (1):',
      '    model.diffusion_model.more [3]',
      '  of another shape (1):',
      '    cond_stage_model.transformer.text_model.final_layer_norm.bias is [767], the model has [768]',
    ].join('\n'),
  );
});

test('whichever tensor is missing or of another shape, the message names it', () => {
  // A prime, so that every kind of tensor has its turn.
  const names = [...first.keys()].filter((_, i) => i % 101 === 7);
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) {
    expect(() => check(without(first, (one) => one === name)), name).toThrow(name);
    expect(() => check(new Map([...first, [name, [1, 2, 3]]])), name).toThrow(`${name} is [1, 2, 3]`);
    expect(() => check(renamed(first, (one) => (one === name ? `${one}.x` : one))), name).toThrow(`${name}.x`);
  }
});

test('unknown blocks and widths name --model-config', () => {
  const fewer = without(first, (name) => name.startsWith('model.diffusion_model.middle_block.1.'));
  expect(() => check(fewer)).toThrow(
    /its UNet is none of those that are known here \(Stable Diffusion 1, .*middle 0, up .*--model-config FOLDER/,
  );
  const name = 'model.diffusion_model.input_blocks.0.0.weight';
  expect(() => check(new Map([...first, [name, [192, 4, 3, 3]]]))).toThrow(
    /has the blocks of Stable Diffusion 1, but other widths.*input_blocks\.0\.0\.weight is \[192, 4, 3, 3\], there \[320, 4, 3, 3\]; .*--model-config FOLDER/,
  );
});

describe('files that are no checkpoint are named as what they are', () => {
  const unet = 'model.diffusion_model.';
  test.each<[string, Shapes, RegExp]>([
    [
      'a LoRA of kohya',
      all(['lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight']),
      /this is a LoRA.*--lora/,
    ],
    ['a LoRA of PEFT', all(['base_model.model.down_blocks.0.to_q.lora_A.weight']), /this is a LoRA/],
    ['an autoencoder', only(first, 'first_stage_model.'), /this is an autoencoder alone: give it with --vae/],
    ['one with plain names', only(first, 'first_stage_model.', ''), /this is an autoencoder alone/],
    [
      "one with diffusers' names",
      all(['encoder.conv_in.weight', 'decoder.mid_block.resnets.0.norm1.weight']),
      /autoencoder alone/,
    ],
    ['a UNet', only(first, unet), /this is a UNet alone, without text encoders/],
    [
      "a UNet with diffusers' names",
      all(['conv_in.weight', 'down_blocks.0.resnets.0.conv1.weight']),
      /UNet alone.*--unet/,
    ],
    ['a text encoder', only(first, 'cond_stage_model.'), /this is a text encoder alone/],
    ['a ControlNet', all(['control_model.input_blocks.0.0.weight']), /this is a ControlNet/],
    ['textual inversion', all(['emb_params']), /textual inversion/],
    ['FLUX', all(['double_blocks.0.img_attn.qkv.weight']), /FLUX; only UNets/],
    ['Playground 2.5', all(['edm_mean']), /schedule of EDM/],
    [
      'an inpainting model',
      new Map([...first, [`${unet}input_blocks.0.0.weight`, [320, 9, 3, 3]]]),
      /an inpainting model/,
    ],
    ['anything else', all(['weight', 'bias']), /no Stable Diffusion checkpoint.*holds 2 tensors: weight, bias/],
  ])('%s', (_, shapes, message) => {
    expect(() => recognise(hollow(shapes))).toThrow(message);
  });
});
