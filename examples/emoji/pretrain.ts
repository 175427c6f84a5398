/**
 * Trains the small text-to-image model of the main example: emoji of three categories, in both art styles, by their captions.
 *
 *   npx tsx examples/emoji/pretrain.ts --out out/emoji
 *
 * It takes about an hour on two cores. Run it again to go on where it was stopped.
 */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import {
  clipTokenizer,
  ddim,
  guide,
  learnTokenizer,
  noiseSchedule,
  pictureKeys,
  sample,
  textToImage,
  tokenIds,
} from 'diffusion-dpo/diffusion';
import { type PretrainState, pretraining } from 'diffusion-dpo/dpo';
import { countParameters, learningRateSchedule } from 'diffusion-dpo/nn';
import {
  concat,
  defaultDevice,
  flattenTree,
  item,
  key,
  mapTree,
  read,
  realize,
  split,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { gridPng } from '../grid.ts';
import { emojiPictures } from './pictures.ts';

const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '7000' },
    out: { type: 'string', default: 'out/emoji' },
    every: { type: 'string', default: '500' },
  },
});
const [steps, every] = [Number(options.steps), Number(options.every)];
const categories = ['Animals & Nature', 'Food & Drink'];
const size = 16;
const batchSize = 32;
const seed = 0;
const maxLength = 16;

const styles = await Promise.all(
  (['twemoji', 'noto'] as const).map((style) =>
    emojiPictures(style, { size, keep: ({ category }) => categories.includes(category) }),
  ),
);
const captions = styles.flatMap(({ items }) => items.map(({ caption }) => caption));
const files = learnTokenizer(captions, { merges: 400, maxLength });
const tokenizer = clipTokenizer(files);

const width = 64;
const textEncoder = {
  architectures: ['CLIPTextModelWithProjection'],
  model_type: 'clip_text_model',
  vocab_size: Object.keys(files.vocabulary).length,
  hidden_size: width,
  intermediate_size: 4 * width,
  projection_dim: width,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: maxLength,
  hidden_act: 'quick_gelu',
};
const unet = {
  _class_name: 'UNet2DConditionModel',
  sample_size: size,
  in_channels: 3,
  out_channels: 3,
  block_out_channels: [24, 48, 96],
  down_block_types: ['DownBlock2D', 'DownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'UpBlock2D', 'UpBlock2D'],
  layers_per_block: 1,
  norm_num_groups: 8,
  attention_head_dim: 4,
  cross_attention_dim: width,
  use_linear_projection: true,
  addition_embed_type: 'text_time',
  addition_time_embed_dim: 8,
  projection_class_embeddings_input_dim: 6 * 8 + width,
};
const scheduler = { beta_schedule: 'squaredcos_cap_v2', prediction_type: 'v_prediction', clip_sample: true } as const;

const model = textToImage({ unet, textEncoder });
const [pictures, ids, emptyIds] = (await realize([
  concat(
    styles.map(({ values, items }) => tensor(values).reshape([items.length, 3, size, size])),
    0,
  ),
  tokenIds(tokenizer, captions),
  tokenIds(tokenizer, ['']),
])) as [Tensor, Tensor, Tensor];

const training = pretraining({
  model,
  schedule: noiseSchedule({ betaSchedule: scheduler.beta_schedule }),
  prediction: scheduler.prediction_type,
  data: { pictures, ids, emptyIds },
  batchSize,
  learningRate: 1e-3,
  learningRateSchedule: learningRateSchedule('cosine', { warmupSteps: 100, totalSteps: steps }),
  captionDropout: 0.1,
  weightDecay: 0.01,
  maxGradientNorm: 1,
  emaDecay: 0.999,
  key: key(seed),
});

const statePath = join(options.out, 'state.safetensors');

async function saveState(state: PretrainState): Promise<void> {
  const tensors = flattenTree(state).map(({ path, tensor }) => [path, tensor] as const);
  await saveSafetensors(statePath, tensors, { metadata: { steps: String(state.optimiser.steps) } });
}

async function loadState(fresh: PretrainState): Promise<PretrainState> {
  await using file = await openSafetensorsFile(statePath);
  const stored = await file.readAll();
  const state = mapTree(fresh, (_, path) => stored.get(path) as Tensor);
  return realize({ ...state, optimiser: { ...state.optimiser, steps: Number(file.metadata.get('steps')) } });
}

/** Samples of every 29th caption, guided. */
async function drawSamples({ average }: PretrainState, name: string): Promise<void> {
  const chosen = Array.from({ length: 32 }, (_, i) => captions[(i * 29) % (captions.length / 2)] as string);
  const conditioning = await realize(
    model.condition(average, tokenIds(tokenizer, [...chosen, ...chosen.map(() => '')]), [size, size]),
  );
  const drawn = await sample({
    trajectory: ddim({ ...scheduler, timestep_spacing: 'trailing' })(30),
    model: (x, timestep) => {
      const [conditional, unconditional] = split(
        model.predict(average, concat([x, x], 0), timestep, conditioning),
        2,
        0,
      ) as [Tensor, Tensor];
      return guide(conditional, unconditional, { scale: 3 });
    },
    keys: pictureKeys(key(seed + 1), 32),
    shape: [3, size, size],
  });
  await writeFile(join(options.out, name), gridPng(await read(drawn), { count: 32, size }));
}

await mkdir(options.out, { recursive: true });
const params = await realize(model.init(key(seed)));
let state = await training.init(params);
if (existsSync(statePath)) state = await loadState(state);
console.log(
  `${captions.length} pictures, ${Object.keys(files.vocabulary).length} tokens, ${countParameters(params)} parameters, ` +
    `${(await defaultDevice()).description}; step ${state.optimiser.steps} of ${steps}`,
);
let stopped = false;
process.once('SIGINT', () => {
  stopped = true;
});
const bar = new SingleBar({
  format: 'training {bar} {value}/{total} steps, loss {loss}, {eta_formatted} left',
  etaBuffer: 50,
});
bar.start(steps, state.optimiser.steps, { loss: '–' });
const logPath = join(options.out, 'log.jsonl');
let sum = 0;
let next = training.step(state);
while (state.optimiser.steps < steps && !stopped) {
  const running = realize(next, { donate: state });
  const { loss, ...rest } = next;
  state = rest;
  // While this step is computed, the graph of the next one is built.
  await new Promise((resolve) => setTimeout(resolve, 0));
  next = training.step(state);
  await running;
  const step = state.optimiser.steps;
  const value = await item(loss);
  if (!Number.isFinite(value))
    throw new Error(`the loss is ${value} at step ${step}; the last good state is in ${statePath}`);
  sum += value;
  if (step % 50 === 0) {
    bar.update(step, { loss: (sum / 50).toFixed(4) });
    await appendFile(logPath, `${JSON.stringify({ step, loss: sum / 50, time: new Date().toISOString() })}\n`);
    sum = 0;
  }
  if (step % every === 0) {
    await saveState(state);
    await drawSamples(state, `samples-${String(step).padStart(6, '0')}.png`);
  }
}
bar.stop();
await saveState(state);
await drawSamples(state, 'samples.png');
await rename(join(options.out, 'samples.png'), join(options.out, 'latest.png'));
