/**
 * The parts of a training step's time: of pretraining a small text-to-image model, or of a run of `diffusion-dpo train`.
 *
 *   npx tsx bench/steps.ts
 *   npx tsx bench/steps.ts --train examples/emoji/train.json
 *   npx tsx bench/steps.ts --device wasm1 --batch 16 --steps 20 --json
 *
 * A step consists of kernels and the rest: memory, the task table, waking threads. As in training, the next step's graph is
 * built and read into a program while kernels run. Without a spare core that slows the kernels, so they are measured twice:
 * alone, and in such a step, which gives the share of time in which no kernel runs.
 */
import { parseArgs } from 'node:util';
import { type PlanReport, prepare, profile, realize, setDefaultDevice } from 'diffusion-dpo/tensor';
import { openNamed } from './devices.ts';
import { matmulRate } from './matmulRate.ts';
import { pretrainingSteps, type Step, tuningSteps } from './pipelineSteps.ts';

const { values: options } = parseArgs({
  options: {
    device: { type: 'string', default: 'wasm2' },
    train: { type: 'string' },
    batch: { type: 'string', default: '64' },
    steps: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});
const steps = Number(options.steps);

const device = await openNamed(options.device);
setDefaultDevice(device);
const { about, first } =
  options.train === undefined
    ? await pretrainingSteps(Number(options.batch))
    : await tuningSteps(options.train, device);

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
const kernelTime = ({ kernels }: PlanReport): number =>
  kernels.reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0);

/** Builds the next step and reads it into a program while `running` is under way, and times both. */
async function meanwhile({ next }: Step, running: Promise<unknown>) {
  await new Promise((resolve) => setTimeout(resolve, 0));
  const begun = performance.now();
  const after = await next();
  const built = performance.now();
  prepare(after.results);
  const read = performance.now();
  await running;
  return { after, building: built - begun, reading: read - built };
}

const [building, reading, whole, inKernels, idle] = Array.from({ length: 5 }, (): number[] => []) as [
  number[],
  number[],
  number[],
  number[],
  number[],
];
let report: PlanReport | undefined;
let rate = 0;
let step = await first();
for (let i = 0; i < steps + 3; i++) {
  const watchedFrom = performance.now();
  const watching = profile(step.results);
  await meanwhile(step, watching);
  const watched = performance.now() - watchedFrom;
  const start = performance.now();
  const made = await meanwhile(step, realize(step.results, { donate: step.donate }));
  const end = performance.now();
  step = made.after;
  const profiled = await profile(step.results);
  // The first steps compile.
  if (i < 3) continue;
  report = profiled;
  building.push(made.building);
  reading.push(made.reading);
  whole.push(end - start);
  inKernels.push(kernelTime(profiled));
  idle.push(1 - kernelTime(await watching) / watched);
  rate = Math.max(rate, await matmulRate(device));
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
/** The FLOP of contractions alone. */
const flops = [...groups].reduce((sum, [name, group]) => sum + (name === 'loops' ? 0 : group.flops), 0);
const result = {
  device: device.description,
  about,
  step: median(whole),
  building: median(building),
  reading: median(reading),
  kernels: median(inKernels),
  outside: 1 - median(inKernels) / median(whole),
  idle: median(idle),
  gflop: flops / 1e9,
  matmulRate: rate,
  /** The step's GFLOP/s over those of a large matrix product in the same run. */
  ofMatmul: flops / median(whole) / 1e6 / rate,
  groups: Object.fromEntries(groups),
};
if (options.json) console.log(JSON.stringify(result));
else {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  console.log(`${result.device}; ${about}`);
  console.log(
    `step ${result.step.toFixed(1)} ms: kernels alone ${result.kernels.toFixed(1)} ms, the rest ${percent(result.outside)}; ` +
      `no kernel runs in ${percent(result.idle)} of a step; ` +
      `meanwhile building the next graph ${result.building.toFixed(1)} ms and reading it ${result.reading.toFixed(1)} ms`,
  );
  console.log(
    `${result.gflop.toFixed(1)} GFLOP of contractions at ${(flops / result.step / 1e6).toFixed(1)} GFLOP/s, ` +
      `${result.ofMatmul.toFixed(2)} of a large matrix product's ${rate.toFixed(1)}`,
  );
  for (const [name, { milliseconds, flops, kernels }] of groups) {
    const rate = milliseconds === 0 ? 0 : flops / milliseconds / 1e6;
    console.log(`  ${name.padEnd(18)} ${kernels} kernels, ${milliseconds.toFixed(1)} ms, ${rate.toFixed(1)} GFLOP/s`);
  }
}
