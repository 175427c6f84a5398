import { changesOf, type Mutation } from './mutation.ts';

const at = (name: string): string => `diffusion/singleFile/${name}`;
const golden = ['tests/diffusion/singleFile/golden.test.ts'];
const recognise = ['tests/diffusion/singleFile/recognise.test.ts'];
const opened = ['tests/diffusion/singleFile/openPipeline.test.ts'];
const views = ['tests/tensor/safetensorsViews.test.ts'];

/** Checkpoints of one file in the original layout: their names, what they are told by, reading and saving them. */
export const singleFileMutations: readonly Mutation[] = [
  ...changesOf(at('unetKeys.ts'), golden, [
    ['doubling stands before attention', 'isSecond(block) ? 2 : 1', 'isSecond(block) ? 1 : 2'],
    ['blocks are numbered as if none halved', '3 : layersPerBlock + 1;', '3 : layersPerBlock;', 'short'],
  ]),
  ...changesOf(at('vaeKeys.ts'), golden, [
    ["the decoder's levels are numbered from the smallest images", 'levels - 1 - block', 'block'],
  ]),
  ...changesOf(at('places.ts'), golden, [
    ['key and value change places', 'query: 0, key: 1, value: 2', 'query: 0, key: 2, value: 1', 'short'],
  ]),
  ...changesOf(at('fileParts.ts'), golden, [
    ['the projection of text is not transposed', 'if (!isTransposed(name)) return stored;', 'return stored;'],
  ]),
  ...changesOf(at('saveSingleFile.node.ts'), golden, [
    ['the projection of text is saved as it is', '(x) => x.permute([1, 0])', '(x) => x'],
  ]),
  ...changesOf(at('blocks.ts'), recognise, [
    ['transformers in the middle are not counted', 'Number(third) + 1 : 0;\n      mid', '0 : 0;\n      mid'],
  ]),
  ...changesOf(at('recognise.ts'), recognise, [
    ['a text encoder without text_model has other names', "? 'clip' : 'clip without text_model'", "? 'clip' : 'clip'"],
    ['an inpainting model is taken for a plain one', '  9: ', '  10: '],
  ]),
  ...changesOf(at('fileParts.ts'), recognise, [
    [
      'the layer behind the last is passed over one too late',
      "'.self_attn.q_proj.weight')).length",
      "'.self_attn.q_proj.weight')).length + 1",
    ],
  ]),
  ...changesOf(at('chooseConfigs.ts'), recognise, [
    [
      'other widths are listed as tensors of other shapes',
      'if (differ.length === 0) return',
      'if (differ.length >= 0) return',
    ],
  ]),
  ...changesOf(at('layouts.ts'), opened, [["averages' names have dots", ".replaceAll('.', '')", '']]),
  ...changesOf(at('openSingleFile.node.ts'), opened, [
    ['marker tensors are overruled', 'asked !== undefined && marked !== undefined && asked !== marked', 'false'],
    [
      'Stable Diffusion 2 predicts the noise unless told otherwise',
      "prediction === undefined && family === 'sd2'",
      'false',
    ],
    [
      'averages are read whatever is asked for',
      'unetPart(configs.unet, { ema, hasGaps }),',
      'unetPart(configs.unet, { ema: hasEma, hasGaps }),',
    ],
  ]),
  ...changesOf(at('saveSingleFile.node.ts'), opened, [
    ['what the network predicts is not written', '? [markers.prediction] : []', '? [] : []'],
  ]),
  ...changesOf(
    'diffusion/pipeline/checkFit.ts',
    ['tests/diffusion/singleFile/otherParts.test.ts'],
    [
      ['latents may have any channels', 'latents !== inputs || latents !== outputs', 'false'],
      ['text may have any width', 'if (one !== width)', 'if (one !== one)'],
    ],
  ),
  ...changesOf(
    'diffusion/text/clipVocabulary.node.ts',
    ['tests/diffusion/text/clipVocabulary.test.ts'],
    [['the first pair is left out', '.slice(1, 1 + count)', '.slice(2, 2 + count)']],
  ),
  ...changesOf('tensor/safetensors/writer.ts', views, [
    [
      'joined files have their tensors in any order',
      'rank(b.dtype) - rank(a.dtype) ||',
      'rank(a.dtype) - rank(b.dtype) ||',
    ],
  ]),
  ...changesOf('tensor/safetensors/reader.ts', views, [
    ['pieces of a copy begin where the tensor does', 'offset + first, length, `tensor', 'offset, length, `tensor'],
  ]),
  ...changesOf('tensor/safetensors/foreign.ts', opened, [
    ['a bare pickle is not named', 'mark === 0x80 && version >= 2', 'mark === 0x81 && version >= 2'],
  ]),
];
