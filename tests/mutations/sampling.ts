import { changesOf, type Mutation } from './mutation.ts';

const latents = ['tests/dpo/cli/sampleLatents.test.ts'];

/** Mutations of the command `sample` and how it opens pipelines. */
export const samplingMutations: readonly Mutation[] = [
  ...changesOf('dpo/cli/sampleCommand.node.ts', latents, [
    ['clip skip is ignored', 'clipSkip: settings.clipSkip', 'clipSkip: 0'],
    ['negative prompts are ignored', 'negatives: negativesOf(settings)', 'negatives: undefined'],
    ['every image has the first negative prompt', 'negative[negative.length === 1 ? 0 : i]', 'negative[0]'],
    ['the image to begin from is ignored', 'size, from, signal', 'size, signal'],
    ['the given strength is ignored', 'strength: strength ?? samplingDefaults', 'strength: samplingDefaults'],
    ['tiles have one size', 'tileSize: settings.tileSize', 'tileSize: 512'],
  ]),
  ...changesOf('dpo/train/openSampled.node.ts', latents, [
    ['another sampler is ignored', '_class_name: name', '_class_name: scheduler._class_name'],
    ['the asked storage is ignored', "if (storage !== 'auto') return storage;", ''],
    ['f16 becomes bf16 where memory is short', "if (stored !== 'f32') return stored;", ''],
    ['weights always fit', 'bytes <= weightShare * limit', 'bytes > 0'],
    ['flows are sampled with any sampler', 'if (own !== other)', 'if (own === undefined)'],
  ]),
  ...changesOf(
    'dpo/cli/convertCommand.node.ts',
    ['tests/dpo/cli/convert.test.ts'],
    [
      ['convert writes over a pipeline', 'if (!taken) return;', 'return;'],
      ['convert keeps the stored dtype', 'dtype: dtype ?? undefined', 'dtype: undefined'],
      ['convert writes one file', 'maxShardBytes: maxShardBytes ?? undefined', 'maxShardBytes: undefined'],
      ['convert does not merge adapters', '...pipelineOptions(settings), loras: lora', '...pipelineOptions(settings)'],
    ],
  ),
  ...changesOf('dpo/train/samplingDefaults.ts', latents, [
    ['the given guidance is ignored', 'guidance: guidance ?? defaults', 'guidance: defaults'],
    ['Turbo has guidance', 'isDistilled(pipeline) ? 0', 'isDistilled(pipeline) ? 1.5'],
  ]),
];
