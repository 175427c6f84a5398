import { join } from 'node:path';
import { learnTokenizer, textToImage } from 'diffusion-dpo/diffusion';
import { savePipelineFolder } from 'diffusion-dpo/diffusion/node';
import { type Image, readSettings, type TrainSettings, trainKeys } from 'diffusion-dpo/dpo';
import { writePickAPic } from 'diffusion-dpo/dpo/node';
import { key, realize } from 'diffusion-dpo/tensor';

export const tinyUNet = {
  _class_name: 'UNet2DConditionModel',
  sample_size: 4,
  in_channels: 3,
  out_channels: 3,
  block_out_channels: [8],
  down_block_types: ['CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D'],
  layers_per_block: 1,
  norm_num_groups: 4,
  attention_head_dim: 2,
  cross_attention_dim: 8,
  use_linear_projection: true,
};

export const tinyTextEncoder = {
  architectures: ['CLIPTextModel'],
  model_type: 'clip_text_model',
  hidden_size: 8,
  intermediate_size: 16,
  projection_dim: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 8,
};

export const tinyScheduler = {
  _class_name: 'DDIMScheduler',
  num_train_timesteps: 50,
  beta_schedule: 'squaredcos_cap_v2',
};

const captions = ['a red square', 'a blue square', 'a green dot'];

/** Writes a pipeline with random weights, small enough to be trained within a test. */
export async function writeTinyPipeline(
  folder: string,
  seed = 0,
  scheduler: Readonly<Record<string, unknown>> = tinyScheduler,
): Promise<void> {
  const tokenizer = learnTokenizer(captions, { merges: 10, maxLength: 8 });
  const textEncoder = { ...tinyTextEncoder, vocab_size: Object.keys(tokenizer.vocabulary).length };
  const config = { unet: tinyUNet, textEncoder };
  const params = await realize(textToImage(config).init(key(seed)));
  await savePipelineFolder(folder, { config, tokenizer, scheduler, params });
}

/** An image of one colour with a darker corner. */
export function flatImage(colour: readonly [number, number, number], size = 8): Image {
  const data = new Uint8Array(3 * size * size);
  for (let pixel = 0; pixel < size * size; pixel++)
    for (let channel = 0; channel < 3; channel++)
      data[3 * pixel + channel] = (colour[channel] as number) / (pixel % size < 2 ? 2 : 1);
  return { width: size, height: size, data };
}

/** Writes pairs whose preferred image is bright and whose other one is dark. */
export async function writeTinyPairs(file: string, count = 6): Promise<void> {
  const pairs = Array.from({ length: count }, (_, i) => ({
    caption: captions[i % captions.length] as string,
    winner: flatImage([200, 150 + i, 240]),
    loser: flatImage([40, 20, 10 + i]),
    models: { winner: 'bright', loser: 'dark' },
  }));
  await writePickAPic(pairs, file);
}

/** Writes a pipeline and pairs, and gives settings of a short run of them. */
export async function tinyRun(
  folder: string,
  changes: Partial<TrainSettings> = {},
  scheduler: Readonly<Record<string, unknown>> = tinyScheduler,
): Promise<TrainSettings> {
  await writeTinyPipeline(join(folder, 'base'), 0, scheduler);
  await writeTinyPairs(join(folder, 'pairs.parquet'));
  return readSettings(
    'test',
    {
      model: join(folder, 'base'),
      pairs: join(folder, 'pairs.parquet'),
      output: join(folder, 'out'),
      device: 'reference',
      beta: 500,
      steps: 6,
      batchSize: 2,
      learningRate: 1e-3,
      logEvery: 2,
      checkpointEvery: 2,
      ...changes,
    },
    trainKeys,
  );
}
