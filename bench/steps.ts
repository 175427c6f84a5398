/**
 * Where the time of a training step goes: a small text-to-image model like that of examples/emoji, on random pictures.
 *
 *   npx tsx bench/steps.ts
 *   npx tsx bench/steps.ts --device wasm1 --batch 16 --steps 20 --json
 *
 * A step is kernels and the rest: memory, the table, waking threads. As in training, the next step's graph is built, and
 * read into a program, while kernels run.
 */
import { parseArgs } from 'node:util';
import { noiseSchedule, textToImage } from 'diffusion-dpo/diffusion';
import { pretraining } from 'diffusion-dpo/dpo';
import { countParameters } from 'diffusion-dpo/nn';
import {
  key,
  type PlanReport,
  prepare,
  profile,
  random,
  realize,
  setDefaultDevice,
  type Tensor,
  zeros,
} from 'diffusion-dpo/tensor';
import { openNamed } from './devices.ts';

const { values: options } = parseArgs({
  options: {
    device: { type: 'string', default: 'wasm2' },
    batch: { type: 'string', default: '64' },
    steps: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});
const [batchSize, steps] = [Number(options.batch), Number(options.steps)];
const [size, width, tokens, vocabulary] = [16, 64, 16, 600];

const device = await openNamed(options.device);
setDefaultDevice(device);

const model = textToImage({
  unet: {
    _class_name: 'UNet2DConditionModel',
    sample_size: size,
    in_channels: 3,
    out_channels: 3,
    block_out_channels: [32, 64, 112],
    down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
    up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
    layers_per_block: 1,
    norm_num_groups: 8,
    attention_head_dim: [2, 4, 4],
    cross_attention_dim: width,
    use_linear_projection: true,
    addition_embed_type: 'text_time',
    addition_time_embed_dim: 8,
    projection_class_embeddings_input_dim: 6 * 8 + width,
  },
  textEncoder: {
    architectures: ['CLIPTextModelWithProjection'],
    model_type: 'clip_text_model',
    vocab_size: vocabulary,
    hidden_size: width,
    intermediate_size: 4 * width,
    projection_dim: width,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    max_position_embeddings: tokens,
    hidden_act: 'quick_gelu',
  },
});
const [pictures, ids, emptyIds] = (await realize([
  random.normal(key(1), [256, 3, size, size]),
  random.randint(key(2), [256, tokens], 0, vocabulary),
  zeros([1, tokens], { dtype: 'i32' }),
])) as [Tensor, Tensor, Tensor];
const training = pretraining({
  model,
  schedule: noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' }),
  prediction: 'epsilon',
  data: { pictures, ids, emptyIds },
  batchSize,
  learningRate: 1e-3,
  learningRateSchedule: () => 1,
  captionDropout: 0.1,
  weightDecay: 0.01,
  maxGradientNorm: 1,
  emaDecay: 0.999,
  key: key(0),
});
let state = await training.init(await realize(model.init(key(0))));

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
const kernelTime = ({ kernels }: PlanReport): number =>
  kernels.reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0);

const [building, reading, whole, inKernels]: [number[], number[], number[], number[]] = [[], [], [], []];
let report: PlanReport | undefined;
let next = training.step(state);
for (let step = 0; step < steps + 3; step++) {
  const start = performance.now();
  const { loss: _, ...after } = next;
  const running = realize(next, { donate: state });
  await new Promise((resolve) => setTimeout(resolve, 0));
  const begun = performance.now();
  next = training.step(after);
  const built = performance.now();
  prepare(next);
  const read = performance.now();
  await running;
  const end = performance.now();
  state = after;
  const profiled = await profile(next);
  // The first ones compile.
  if (step < 3) continue;
  report = profiled;
  building.push(built - begun);
  reading.push(read - built);
  whole.push(end - start);
  inKernels.push(kernelTime(profiled));
}

const groups = new Map<string, { milliseconds: number; flops: number; kernels: number }>();
for (const { description, milliseconds = 0, flops } of report?.kernels ?? []) {
  const name = /^(matmul|conv|attention|attentionGradient|gather|scatterAdd)$/.test(description)
    ? description
    : 'loops';
  const group = groups.get(name) ?? { milliseconds: 0, flops: 0, kernels: 0 };
  groups.set(name, {
    milliseconds: group.milliseconds + milliseconds,
    flops: group.flops + flops,
    kernels: group.kernels + 1,
  });
}
const result = {
  device: device.description,
  parameters: countParameters(state.optimiser.params),
  batchSize,
  step: median(whole),
  building: median(building),
  reading: median(reading),
  kernels: median(inKernels),
  outside: 1 - median(inKernels) / median(whole),
  groups: Object.fromEntries(groups),
};
if (options.json) console.log(JSON.stringify(result));
else {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  console.log(`${result.device}; ${result.parameters} parameters, ${batchSize} pictures of ${size} × ${size} a step`);
  console.log(
    `step ${result.step.toFixed(1)} ms: kernels ${result.kernels.toFixed(1)} ms, outside of them ${percent(result.outside)}; ` +
      `meanwhile building the next graph ${result.building.toFixed(1)} ms and reading it ${result.reading.toFixed(1)} ms`,
  );
  for (const [name, { milliseconds, flops, kernels }] of groups) {
    const rate = milliseconds === 0 ? 0 : flops / milliseconds / 1e6;
    console.log(`  ${name.padEnd(18)} ${kernels} kernels, ${milliseconds.toFixed(1)} ms, ${rate.toFixed(1)} GFLOP/s`);
  }
}
