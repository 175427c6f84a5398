import { changesOf, type Mutation } from './mutation.ts';

const at = (name: string): string => `diffusion/lora/${name}`;
const formats = ['tests/diffusion/lora/formats.test.ts'];
const errors = ['tests/diffusion/lora/errors.test.ts'];
const merging = ['tests/diffusion/lora/withLoras.test.ts'];

/** Files of LoRA: their formats, what is refused, and merging them into the parts of pipelines. */
export const loraFileMutations: readonly Mutation[] = [
  ...changesOf(at('argument.ts'), errors, [
    ['a scale has no sign', '[+-]?(?:\\d+\\.?\\d*', '(?:\\d+\\.?\\d*'],
    ['a file without a scale counts for nothing', 'number ?? 1', 'number ?? 0', 'short'],
    ['a scale beyond all numbers is taken', 'if (!Number.isFinite(scale))', 'if (Number.isNaN(scale))'],
  ]),
  ...changesOf(at('layerNames.ts'), formats, [
    ["the refiner's text encoder is called the first", 'if (isRefiner) return', 'if (!isRefiner) return', 'short'],
    [
      "kohya's first text encoder of two has no number",
      "kohya: ['lora_te1_', 'lora_te_']",
      "kohya: ['lora_te_', 'lora_te1_']",
    ],
    ['names of the original layout are not known', 'if (key !== undefined) for', 'if (key === undefined) for'],
  ]),
  ...changesOf(at('kohya.ts'), formats, [['alpha is written as 1', 'tensor(alpha)]', 'tensor(1)]']]),
  ...changesOf(at('otherFile.ts'), errors, [
    ['a LoRA of another model is not told', 'theirs === ours) return;', 'true) return;'],
    ['a whole checkpoint is looked through for adapters', 'names.length > 0 && !names', 'names.length > 1 && !names'],
  ]),
  ...changesOf(at('pipelineLora.ts'), merging, [
    ['weights before merging are kept in memory', '{ donate: old }', '{}'],
  ]),
  ...changesOf(at('withLoras.node.ts'), merging, [
    ['the scale is ignored', 'strength: scale', 'strength: 1', 'short'],
    ['files are first looked at with the first part', 'await openPipelineLora(file, target);\n    files', 'files'],
  ]),
  ...changesOf('nn/lora/lora.ts', merging, [
    ['sums are in the dtype of the weights', '}, widened(layer.weight));', '}, layer.weight);'],
  ]),
  ...changesOf('nn/lora/names.ts', formats, [
    ["processors' output has no number", "projection === 'to_out' ? 'to_out.0' : projection", 'projection'],
    ["text encoders' old projections keep their names", '{letter}_proj`', '{letter}`'],
  ]),
  ...changesOf('nn/lora/problems.ts', formats, [
    ['adapters of convolutions are not fitted', 'axes === 4 && shape.length === 2', 'axes === 5'],
    ['1×1 convolutions beside linear layers are not fitted', 'axes === 2 && shape.length === 4', 'axes === 5'],
  ]),
  ...changesOf('nn/lora/methods.ts', errors, [
    ['LoKr is taken for LoRA', 'lokr_(w[12]', 'lokr_(v[12]'],
    ['OFT is taken for LoRA', 'oft_(diag|blocks|', 'oft_(diag|'],
  ]),
  ...changesOf('nn/lora/file.ts', errors, [
    ['of another method, tensors are listed one by one', 'if (otherwise.has(name)) continue;', ''],
    ['halves of another method are missed', 'if (otherwise.size === 0)', ''],
  ]),
];
