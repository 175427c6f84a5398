/**
 * UNets: time, steps per second, kernels and peak memory of a forward pass, and of forward and backward with and without
 * gradient checkpointing.
 *
 *   npx tsx bench/unets.ts                       a UNet in SDXL's form with few channels, and one of 10 million parameters
 *   npx tsx bench/unets.ts --models sd15         Stable Diffusion 1.5 at full size, bf16 weights: forward only
 *   npx tsx bench/unets.ts --models sd15,sdxl --devices webgpu --backward
 *                                                both at full size, also backward: needs a GPU with about 40 GB
 *   npx tsx bench/unets.ts --devices wasm1,wasm2 --json
 */
import { parseArgs } from 'node:util';
import { grad } from 'diffusion-dpo/autograd';
import { unet2dConditionModel } from 'diffusion-dpo/diffusion';
import { countParameters } from 'diffusion-dpo/nn';
import {
  type Device,
  dispose,
  explain,
  flattenTree,
  item,
  key,
  mapTree,
  random,
  realize,
  setDefaultDevice,
  type Tensor,
} from 'diffusion-dpo/tensor';
import { finish, openNamed } from './devices.ts';
import { matmulRate } from './matmulRate.ts';

interface Model {
  readonly config: Readonly<Record<string, unknown>>;
  readonly batch: number;
  readonly size: number;
  readonly tokens: number;
  readonly contextDim: number;
  /** The width of the pooled text embedding, for models that take one. */
  readonly pooledDim?: number;
  /** Weights in bf16; forward only, without --backward. */
  readonly halves?: boolean;
}

const models: Readonly<Record<string, Model>> = {
  /** As in tests/golden/unet/sdxl. */
  sdxlForm: {
    config: {
      block_out_channels: [16, 32, 32],
      down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
      up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
      layers_per_block: 1,
      norm_num_groups: 8,
      attention_head_dim: [2, 4, 4],
      cross_attention_dim: 24,
      transformer_layers_per_block: [1, 1, 2],
      use_linear_projection: true,
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 8,
      projection_class_embeddings_input_dim: 68,
    },
    batch: 2,
    size: 16,
    tokens: 10,
    contextDim: 24,
    pooledDim: 20,
  },
  tenMillion: {
    config: {
      in_channels: 3,
      out_channels: 3,
      block_out_channels: [48, 96, 160],
      down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
      up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
      layers_per_block: 2,
      norm_num_groups: 16,
      attention_head_dim: 4,
      cross_attention_dim: 128,
    },
    batch: 4,
    size: 32,
    tokens: 16,
    contextDim: 128,
  },
  sd15: { config: { cross_attention_dim: 768 }, batch: 1, size: 64, tokens: 77, contextDim: 768, halves: true },
  sdxl: {
    config: {
      block_out_channels: [320, 640, 1280],
      down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
      up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
      attention_head_dim: [5, 10, 20],
      cross_attention_dim: 2048,
      transformer_layers_per_block: [1, 2, 10],
      use_linear_projection: true,
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 256,
      projection_class_embeddings_input_dim: 2816,
    },
    batch: 1,
    size: 128,
    tokens: 77,
    contextDim: 2048,
    pooledDim: 1280,
    halves: true,
  },
};

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    devices: { type: 'string', default: 'wasm2' },
    models: { type: 'string', default: 'sdxlForm,tenMillion' },
    /** Default: 5, or 2 for models at full size. */
    repeat: { type: 'string' },
    backward: { type: 'boolean', default: false },
  },
});

interface Row {
  readonly device: string;
  readonly model: string;
  readonly what: string;
  /** The median and the best time in milliseconds. */
  readonly median: number;
  readonly best: number;
  /** From the median. */
  readonly stepsPerSecond: number;
  readonly kernels: number;
  /** The GFLOP of contractions. */
  readonly gflop: number;
  /** The GFLOP/s of the best run over those of a large matrix product beside it. */
  readonly ofMatmul: number;
  /** Peak bytes on the device, including weights. */
  readonly peak: number;
  readonly process: number;
}

/** Draws the weights one tensor at a time, so that only one is in memory in f32. */
async function drawn<P>(tree: P, dtype: 'f32' | 'bf16'): Promise<P> {
  const tensors = new Map<string, Tensor>();
  const pending: { readonly path: string; readonly tensor: Tensor }[] = [];
  mapTree(tree, (x, path) => {
    pending.push({ path, tensor: x });
    return x;
  });
  for (const { path, tensor } of pending) tensors.set(path, await realize(tensor.cast(dtype)));
  return mapTree(tree, (_, path) => tensors.get(path) as Tensor);
}

async function measure(device: Device, name: string, model: Model): Promise<Row[]> {
  const { config, batch, size, tokens, contextDim, pooledDim, halves = false } = model;
  const rows: Row[] = [];
  const plain = unet2dConditionModel(config);
  const params = await drawn(plain.init(key(0)), halves ? 'bf16' : 'f32');
  const channels = Number(config.in_channels ?? 4);
  const inputs = await realize({
    x: random.normal(key(3), [batch, channels, size, size]),
    context: random.normal(key(4), [batch, tokens, contextDim]),
    textEmbeds: random.normal(key(5), [batch, pooledDim ?? 1]),
  });
  const timeIds = Array.from({ length: batch }, () => [size, size, 0, 0, size, size]);
  const added = pooledDim === undefined ? undefined : { textEmbeds: inputs.textEmbeds, timeIds };
  const output = (unet: typeof plain, weights: typeof params) =>
    unet.apply(weights, inputs.x, 500, { context: inputs.context, added });
  const gradients = (unet: typeof plain) =>
    grad((weights: typeof params) => output(unet, weights).square().mean())(params);
  const tasks: [string, () => unknown][] = [['forward', () => output(plain, params)]];
  if (!halves || options.backward) {
    // The full-size models need gradient checkpointing: without it their activations fill a GPU.
    if (!halves) tasks.push(['and backward', () => gradients(plain)]);
    const checkpointed = unet2dConditionModel(config, { checkpointing: true });
    tasks.push(['and backward, checkpointed', () => gradients(checkpointed)]);
  }
  for (const [what, build] of tasks) {
    const { kernels } = await explain(build());
    const flops = kernels
      .filter(({ description }) => /^(conv|matmul|attention)/.test(description))
      .reduce((sum, kernel) => sum + kernel.flops, 0);
    const first = await realize(build());
    for (const { path, tensor } of flattenTree(first)) {
      const size = await item(tensor.abs().max());
      if (!Number.isFinite(size))
        throw new Error(`${name}, ${what}: ${path || 'the output'} has values that are not finite`);
    }
    dispose(first);
    device.resetPeak();
    const times: number[] = [];
    let rate = 0;
    for (let i = 0; i < Number(options.repeat ?? (halves ? 2 : 5)); i++) {
      const start = performance.now();
      dispose(await finish(build()));
      times.push(performance.now() - start);
      rate = Math.max(rate, await matmulRate(device));
    }
    times.sort((a, b) => a - b);
    const [best, median] = [times[0] as number, times[times.length >> 1] as number];
    rows.push({
      device: device.description,
      model: `${name}, ${(countParameters(params) / 1e6).toFixed(1)} M`,
      what,
      median,
      best,
      stepsPerSecond: 1000 / median,
      kernels: kernels.length,
      gflop: flops / 1e9,
      ofMatmul: flops / best / 1e6 / rate,
      peak: device.memory().peakBytes,
      process: process.memoryUsage().rss,
    });
  }
  dispose([params, inputs]);
  return rows;
}

const all: Row[] = [];
for (const deviceName of options.devices.split(',')) {
  const device = await openNamed(deviceName);
  setDefaultDevice(device);
  if (!options.json) console.log(`\n${device.description}`);
  for (const name of options.models.split(',')) {
    const model = models[name];
    if (model === undefined)
      throw new Error(`there is no model '${name}'; there are: ${Object.keys(models).join(', ')}`);
    for (const row of await measure(device, name, model)) {
      all.push(row);
      if (options.json) continue;
      const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
      console.log(
        `  ${row.model.padEnd(20)} ${row.what.padEnd(26)} ${row.best.toFixed(1).padStart(9)} ms, median ${row.median.toFixed(1)}, ` +
          `${row.stepsPerSecond.toPrecision(3)} steps/s, ${row.gflop.toFixed(2)} GFLOP, ${row.ofMatmul.toFixed(2)} of matmul's rate, ${row.kernels} kernels, ` +
          `peak ${mebibytes(row.peak)}, process ${mebibytes(row.process)}`,
      );
    }
  }
}
if (options.json) console.log(JSON.stringify(all, null, 2));
