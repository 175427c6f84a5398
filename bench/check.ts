/**
 * A pipeline at its published size with random weights, used as a user would. Prints JSON.
 *
 *   npm run check:sd15 -- sample                 one image of 512 × 512 in two steps, with guidance
 *   npm run check:sdxl -- sample                 needs a device with more than 4 GiB of memory
 *   npm run check:sd15 -- sample --steps 20 --size 768 --device webgpu --folder DIR
 *
 * The folder is made once, in .tmp/ unless `--folder` says where. A stage's rate is that of its contractions, over all the time
 * that it computes, as a share of a large matrix product's rate on the same device.
 */
import { parseArgs } from 'node:util';
import { type RunStage, residentStages } from 'diffusion-dpo/diffusion';
import { sampleImages } from 'diffusion-dpo/dpo';
import { type Device, type Run, setDefaultDevice } from 'diffusion-dpo/tensor';
import { openSampled } from '../dpo/train/openSampled.node.ts';
import { samplingDefaults } from '../dpo/train/samplingDefaults.ts';
import { openNamed } from './devices.ts';
import { makeFullSize } from './fullSize.ts';
import { matmulRate } from './matmulRate.ts';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: 'string', default: '2' },
    size: { type: 'string', default: '512' },
    device: { type: 'string', default: 'wasm' },
    folder: { type: 'string' },
  },
});
const [name, command] = positionals;
if ((name !== 'sd15' && name !== 'sdxl') || command !== 'sample')
  throw new Error('name a pipeline, sd15 or sdxl, and what to check: sample');

const device = await openNamed(options.device);
setDefaultDevice(device);
const folder = options.folder ?? `.tmp/${name}`;
await makeFullSize(name, folder);

/** The FLOP of the contractions that a device has computed, and the seconds that its runs took. */
function countContractions(counted: Device): { flop: number; seconds: number } {
  const work = { flop: 0, seconds: 0 };
  const run = counted.run.bind(counted);
  const plan = counted.plan?.bind(counted);
  const countedRun = async (asked: Run) => {
    const report = await plan?.(asked, false);
    for (const { description, flops } of report?.kernels ?? [])
      if (/^(conv|matmul|attention)/.test(description)) work.flop += flops;
    const start = performance.now();
    const buffers = await run(asked);
    work.seconds += (performance.now() - start) / 1000;
    return buffers;
  };
  return Object.assign(counted, { run: countedRun }) && work;
}

/** The best of several, since a machine that others use is slow for seconds at a time. */
let rate = await matmulRate(device);
const work = countContractions(device);
const notes: string[] = [];
const pipeline = await openSampled(folder, { device, onNote: (note) => notes.push(note) });
const rows: { readonly stage: string; readonly gflops: number }[] = [];
const loadedStages = pipeline.stages ?? residentStages(pipeline);
/** Measures a stage: the time to read its parts, the time of its work, and memory. */
const stages: RunStage = async (stage, job) => {
  const began = performance.now();
  device.resetPeak();
  return loadedStages(stage, async (loaded) => {
    const [weightBytes, flop, seconds] = [device.memory().bytes, work.flop, work.seconds];
    const start = performance.now();
    const result = await job(loaded);
    const gflop = (work.flop - flop) / 1e9;
    const computed = work.seconds - seconds;
    rows.push({
      stage,
      ...{ readingSeconds: (start - began) / 1000, seconds: (performance.now() - start) / 1000 },
      ...{ computingSeconds: computed, gflop, gflops: gflop / computed },
      ...{ weightBytes, peakBytes: device.memory().peakBytes, processBytes: process.memoryUsage().rss },
    });
    return result;
  });
};

const [steps, side] = [Number(options.steps), Number(options.size)];
const { guidance } = samplingDefaults(pipeline.source);
const image = await sampleImages(
  { ...pipeline, stages },
  { captions: ['a photo of a cat'], seed: 0, size: [side, side], steps, guidance, batchSize: 1 },
);
rate = Math.max(rate, await matmulRate(device));
console.log(
  JSON.stringify(
    {
      ...{ pipeline: name, device: device.description, node: process.version, size: side, steps, guidance, notes },
      matmulGflops: rate,
      stages: rows.map((row) => ({ ...row, ofMatmul: row.gflops / rate })),
      ...{ mostProcessBytes: 1024 * process.resourceUsage().maxRSS, pixels: image.length / 3 },
    },
    null,
    2,
  ),
);
process.exit(0);
