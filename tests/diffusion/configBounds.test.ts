import {
  clipTextModel,
  flowSchedule,
  noiseSchedule,
  noisingFromConfig,
  samplerFromConfig,
  unet2dConditionModel,
  unet2dModel,
} from 'diffusion-dpo/diffusion';
import { describe, expect, test } from 'vitest';

const repeated = <T>(count: number, value: T): T[] => new Array<T>(count).fill(value);
const messageOf = (make: () => unknown): string => {
  try {
    make();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
};

describe('configurations that ask for too much are refused before anything is made', () => {
  const huge = 1e9;
  test.each([
    [
      'layers_per_block',
      { layers_per_block: huge },
      'layers_per_block: must be a whole number of at most 128',
      'got 1000000000',
    ],
    [
      'layers of one block',
      { layers_per_block: [2, 2, huge, 2] },
      'or a list of whole numbers of at most 128',
      'got [2,2,1000000000,2]',
    ],
    [
      'transformer_layers_per_block',
      { transformer_layers_per_block: huge },
      'transformer_layers_per_block: must be a whole number of at most 128',
      'got 1000000000',
    ],
    [
      'transformers of one block',
      { transformer_layers_per_block: [1, [1, huge], 1, 1] },
      'of at most 128',
      '[1,[1,1000000000],1,1]',
    ],
    [
      'reverse_transformer_layers_per_block',
      { reverse_transformer_layers_per_block: [huge, 1, 1, 1] },
      'reverse_transformer_layers_per_block: must be',
      'of at most 128',
    ],
    [
      'blocks',
      { block_out_channels: repeated(33, 32) },
      'block_out_channels has 33 entries, and at most 32 are supported',
      '',
    ],
    [
      'layers in all',
      { layers_per_block: 128, transformer_layers_per_block: 128 },
      'make 66048 layers on the way down, and at most 4096 are supported',
      '',
    ],
    [
      'sample_size',
      { sample_size: 1e6 },
      'sample_size: must be a whole number from 1 to 4096, a list of two, or null, got 1000000',
      '',
    ],
    ['a side of sample_size', { sample_size: [8, 1e6] }, 'sample_size: must be', 'got [8,1000000]'],
  ])('UNet2DConditionModel: %s', (_, config, ...messages) => {
    for (const message of messages) expect(messageOf(() => unet2dConditionModel(config))).toContain(message);
  });

  test.each([
    [
      'layers_per_block',
      { layers_per_block: huge },
      'layers_per_block: must be a whole number of at most 128, got 1000000000',
    ],
    [
      'blocks',
      { block_out_channels: repeated(1e6, 32) },
      'block_out_channels has 1000000 entries, and at most 32 are supported',
    ],
    ['sample_size', { sample_size: 1e6 }, 'sample_size: must be a whole number from 1 to 4096'],
    ['a sample_size of no pixels', { sample_size: 0 }, 'sample_size: must be a whole number from 1 to 4096'],
  ])('UNet2DModel: %s', (_, config, message) => {
    expect(messageOf(() => unet2dModel(config))).toContain(message);
  });

  test('CLIPTextModel: num_hidden_layers', () => {
    expect(messageOf(() => clipTextModel({ num_hidden_layers: huge }))).toContain(
      'num_hidden_layers: must be a whole number of at most 1024, got 1000000000',
    );
  });

  test('schedules: num_train_timesteps', () => {
    const limit = 'is 1000000000, and at most 100000 are supported';
    expect(messageOf(() => noiseSchedule({ numTrainTimesteps: huge }))).toContain(limit);
    expect(messageOf(() => flowSchedule({ numTrainTimesteps: huge }))).toContain(limit);
    for (const name of ['DDPM', 'DDIM', 'EulerDiscrete', 'DPMSolverMultistep', 'PNDM', 'FlowMatchEulerDiscrete']) {
      const config = { _class_name: `${name}Scheduler`, num_train_timesteps: huge };
      expect(
        messageOf(() => samplerFromConfig(config)),
        name,
      ).toContain(limit);
      expect(
        messageOf(() => noisingFromConfig(config)),
        name,
      ).toContain(limit);
    }
  });
});

test('what published models ask for, and a good deal more, is within the limits', () => {
  unet2dModel({ sample_size: [512, 768], layers_per_block: 16 });
  unet2dModel({ sample_size: null });
  clipTextModel({ num_hidden_layers: 64 });
  unet2dConditionModel({
    sample_size: 128,
    transformer_layers_per_block: [1, 2, 10, 10],
    layers_per_block: [2, 3, 4, 4],
  });
  expect(noiseSchedule({ numTrainTimesteps: 10_000 }).betas).toHaveLength(10_000);
});
