/**
 * An unconditional DDPM (Ho et al. 2020) learns to draw emoji, 16 × 16 pixels large, from noise.
 *
 *   npm run ddpm                              600 steps, a few minutes on two cores; images go to out/ddpm
 *   npm run ddpm -- --steps 6000 --every 500 --out out/longer
 *
 * Ctrl-C ends it after the step that is under way; the same command goes on from there.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { valueAndGrad } from 'diffusion-dpo/autograd';
import { addNoise, ddim, imageKeys, loadParameters, noiseSchedule, sample, unet2dModel } from 'diffusion-dpo/diffusion';
import { saveModelFolder } from 'diffusion-dpo/diffusion/node';
import { gridPng } from 'diffusion-dpo/dpo';
import { adamW, clipByGlobalNorm, countParameters, emaStep, learningRateSchedule } from 'diffusion-dpo/nn';
import {
  copy,
  defaultDevice,
  flattenTree,
  item,
  key,
  random,
  read,
  realize,
  type Tensor,
  take,
  tensor,
} from 'diffusion-dpo/tensor';
import { openSafetensorsFile, replaceFile, replaceText, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { emojiImages, type Style } from './emoji/images.ts';
import { lossCurveSvg } from './lossCurve.ts';

const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '600' },
    /** Images in a step. */
    batch: { type: 'string', default: '32' },
    /** Steps between two checkpoints, each with a grid of samples. */
    every: { type: 'string', default: '200' },
    /** Images in a grid, and the steps from noise to them. */
    samples: { type: 'string', default: '32' },
    sampling: { type: 'string', default: '50' },
    rate: { type: 'string', default: '1e-3' },
    seed: { type: 'string', default: '0' },
    style: { type: 'string', default: 'twemoji' },
    out: { type: 'string', default: 'out/ddpm' },
  },
});
const [steps, batch, every, rate, seed] = [options.steps, options.batch, options.every, options.rate, options.seed].map(
  Number,
) as [number, number, number, number, number];

const config = {
  _class_name: 'UNet2DModel',
  sample_size: 16,
  block_out_channels: [32, 64, 64],
  down_block_types: ['DownBlock2D', 'DownBlock2D', 'AttnDownBlock2D'],
  up_block_types: ['AttnUpBlock2D', 'UpBlock2D', 'UpBlock2D'],
  layers_per_block: 1,
  norm_num_groups: 8,
};
const noising = { beta_schedule: 'squaredcos_cap_v2', prediction_type: 'epsilon' } as const;

const unet = unet2dModel(config);
const schedule = noiseSchedule({ betaSchedule: noising.beta_schedule });
type Params = ReturnType<typeof unet.init>;

const { values, items, size } = await emojiImages(options.style as Style, {
  keep: ({ category }) => category !== 'Flags',
});
const images = await realize(tensor(values).reshape([items.length, 3, size, size]));

/** The mean squared error of the predicted noise, for images, time steps and noise drawn with a key: equation 14. */
function loss(params: Params, stepKey: Tensor): Tensor {
  const [imageKey, timeKey, noiseKey] = random.split(stepKey, 3) as [Tensor, Tensor, Tensor];
  const original = take(images, random.randint(imageKey, [batch], 0, items.length));
  const timesteps = random.randint(timeKey, [batch], 0, schedule.numTrainTimesteps);
  const noise = random.normal(noiseKey, original.shape);
  const noisy = addNoise(schedule, original, noise, timesteps);
  return unet.apply(params, noisy, timesteps).sub(noise).square().mean();
}

const optimiser = adamW<Params>({ weightDecay: 0 });
const warmup = learningRateSchedule('cosine', { warmupSteps: 50, totalSteps: steps });

interface Training {
  readonly optimiser: ReturnType<typeof optimiser.init>;
  /** An average of the parameters, which samples are drawn with. */
  readonly average: Params;
  readonly loss: Tensor;
}

function next({ optimiser: state, average }: Training): Training {
  const [value, raw] = valueAndGrad(loss)(state.params, random.foldIn(key(seed), state.steps));
  const { gradients } = clipByGlobalNorm(raw, 1);
  const updated = optimiser.step(state, gradients, { learningRate: rate * warmup(state.steps) });
  return {
    optimiser: updated,
    average: emaStep(average, updated.params, updated.steps, { decay: 0.995 }),
    loss: value,
  };
}

/** What a training depends on: one that was begun with other options is not gone on with. */
const { out: _out, every: _every, samples: _samples, sampling: _sampling, ...begunWith } = options;
const checkpointPath = join(options.out, 'checkpoint.safetensors');

/** The whole training, losses so far included, in one file. */
async function saveCheckpoint({ optimiser: own, average }: Training, losses: readonly number[]): Promise<void> {
  const tensors = flattenTree({ optimiser: own, average }).map(({ path, tensor }) => [path, tensor] as const);
  await saveSafetensors(checkpointPath, [...tensors, ['losses', tensor(losses)]], {
    metadata: { steps: String(own.steps), options: JSON.stringify(begunWith) },
  });
}

/** A training from its checkpoint; `fresh` tells what tensors there are. */
async function loadCheckpoint(fresh: Training): Promise<{ readonly state: Training; readonly losses: number[] }> {
  await using file = await openSafetensorsFile(checkpointPath);
  const before = file.metadata.get('options');
  if (before !== JSON.stringify(begunWith))
    throw new Error(
      `${checkpointPath} is of a training with the options ${before}; go on with these, or choose another folder with --out`,
    );
  const { optimiser: own, average } = fresh;
  const loaded = await loadParameters({ optimiser: own, average }, file, { ignore: ['losses'] });
  const steps = Number(file.metadata.get('steps'));
  return {
    state: { ...fresh, ...loaded, optimiser: { ...loaded.optimiser, steps } },
    losses: Array.from(await read(await file.read('losses'))),
  };
}

async function drawSamples(average: Params, name: string): Promise<void> {
  const count = Number(options.samples);
  const drawn = await sample({
    // At the noisiest steps a small error of the noise is a large one of the image. That is clipped; the noise has to
    // follow, or it carries the error on.
    trajectory: ddim(
      { ...noising, timestep_spacing: 'trailing' },
      { useClippedModelOutput: true },
    )(Number(options.sampling)),
    model: (x, timestep) => unet.apply(average, x, timestep),
    keys: imageKeys(key(seed), count),
    shape: [3, size, size],
  });
  const grid = gridPng(await read(drawn), { size: [size, size] });
  await replaceFile(join(options.out, name), (write) => write(grid));
}

await mkdir(options.out, { recursive: true });
const params = await realize(unet.init(key(seed)));
const fresh: Training = await realize({
  optimiser: optimiser.init(params),
  average: await copy(params),
  loss: tensor(0),
});
const begun = existsSync(checkpointPath) ? await loadCheckpoint(fresh) : { state: fresh, losses: [] };
let { state } = begun;
const { losses } = begun;
console.log(
  `${items.length} images, ${countParameters(params)} parameters, ${(await defaultDevice()).description}` +
    (losses.length > 0 ? `; going on after step ${losses.length}` : ''),
);

let stopped = false;
process.once('SIGINT', () => {
  stopped = true;
});
const bar = new SingleBar({
  format: 'training {bar} {value}/{total} steps, loss {loss}, {rate} steps/s, {eta_formatted} left',
  etaBuffer: 100,
});
const [first, began] = [losses.length, performance.now()];
bar.start(steps, first, { loss: '–', rate: '–' });
while (losses.length < steps && !stopped) {
  state = await realize(next(state), { donate: state });
  const loss = await item(state.loss);
  const step = losses.length + 1;
  if (!Number.isFinite(loss))
    throw new Error(`the loss is ${loss} at step ${step}; ${checkpointPath} has the last checkpoint, if there is one`);
  losses.push(loss);
  const recent = losses.slice(-50);
  const mean = recent.reduce((sum, one) => sum + one, 0) / recent.length;
  const rate = (1000 * (step - first)) / (performance.now() - began);
  bar.update(step, { loss: mean.toFixed(4), rate: rate.toFixed(1) });
  if (step % every === 0 && step < steps && !stopped) {
    await saveCheckpoint(state, losses);
    await drawSamples(state.average, `samples-${String(step).padStart(6, '0')}.png`);
  }
}
bar.stop();
await saveCheckpoint(state, losses);
if (losses.length < steps) console.log(`stopped after step ${losses.length}; the same command goes on from there`);
else {
  await drawSamples(state.average, 'samples.png');
  await saveModelFolder(join(options.out, 'unet'), config, state.average);
  await replaceText(join(options.out, 'loss.svg'), lossCurveSvg(losses));
  console.log(`${steps} steps; samples.png, loss.svg and the model's folder unet are in ${options.out}`);
}
