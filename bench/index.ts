/**
 * The rate of each item on each device, and its share of the rate of bare code measured beside it: one thread of
 * WebAssembly, or plain WGSL for WebGPU.
 *
 *   npm run bench                            a table of all items; the reference executor runs only the small ones
 *   npm run bench -- --items 'conv|MLP'      only items whose names match
 *   npm run bench -- --devices wasm1,wasm2   kinds of devices; a number after wasm is that of its threads
 *   npm run bench -- --time 1000             milliseconds per item
 *   npm run bench -- --json                  JSON instead of tables
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { setDefaultDevice } from 'diffusion-dpo/tensor';
import { Bench } from 'tinybench';
import { openNamed } from './devices.ts';
import { type Item, items } from './items.ts';
import type { Limit, Limits } from './limit.ts';
import { limitsFor, rateOf } from './limits.ts';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    items: { type: 'string', default: '.' },
    devices: { type: 'string', default: 'wasm1,wasm2,reference' },
    time: { type: 'string', default: '500' },
  },
});

const prefix: Readonly<Record<Item['unit'], number>> = {
  'GFLOP/s': 1e9,
  'GB/s': 1e9,
  'M nodes/s': 1e6,
  'steps/s': 1,
  'runs/s': 1,
};

interface Result {
  readonly item: string;
  readonly device: string;
  /** Milliseconds per call. */
  readonly best: number;
  readonly median: number;
  readonly calls: number;
  /** The rate of the median call, in `unit`. */
  readonly rate: number;
  readonly unit: string;
  /** The best call's share of the limit, and the best rate of the limit so far. */
  readonly share?: number;
  readonly limit?: { readonly name: string; readonly perSecond: number };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

/** The best rate of each limit so far, measured throughout, because a shared machine is slow for seconds at a time. */
const fastest = new Map<Limit, number>();
async function fastestOf(limit: Limit): Promise<number> {
  const rate = Math.max(fastest.get(limit) ?? 0, await rateOf(limit));
  fastest.set(limit, rate);
  return rate;
}

/** An item's time is split into this many rounds, with its limit measured after each. */
const rounds = 5;

async function measure({ name, work, unit, limit, prepare }: Item, device: string, limits: Limits): Promise<Result> {
  const run = await prepare();
  for (let i = 0; i < 3; i++) await run();
  const bare = limit && limits[limit.kind];
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({
      time: Number(options.time) / rounds,
      iterations: 2,
      warmup: false,
      throws: true,
      retainSamples: true,
    });
    await bench.add(name, run).run();
    const result = bench.getTask(name)?.result;
    if (result?.state !== 'completed') throw new Error(`the item '${name}' did not complete`);
    samples.push(...(result.latency.samples ?? []));
    if (bare) await fastestOf(bare);
  }
  const best = samples.reduce((a, b) => Math.min(a, b));
  const middle = median(samples);
  const rate = work / (middle / 1000) / prefix[unit];
  const measured = { item: name, device, best, median: middle, calls: samples.length, rate, unit };
  if (bare === undefined || limit === undefined) return measured;
  const perSecond = await fastestOf(bare);
  return { ...measured, share: limit.work / (best / 1000) / perSecond, limit: { name: bare.name, perSecond } };
}

function print({ item, best, median, rate, unit, share, limit }: Result): void {
  const time = `${best.toPrecision(3)} ms, median ${median.toPrecision(3)}`;
  const part =
    share === undefined || limit === undefined
      ? ''
      : `${share.toFixed(2)} of ${limit.name} ${(limit.perSecond / 1e9).toFixed(1)}`;
  console.log(`  ${item.padEnd(47)} ${time.padStart(26)} ${rate.toPrecision(3).padStart(9)} ${unit.padEnd(9)} ${part}`);
}

const wanted = new RegExp(options.items);
const results: Result[] = [];
for (const name of options.devices.split(',')) {
  const device = await openNamed(name);
  setDefaultDevice(device);
  const limits = await limitsFor(device);
  for (let i = 0; i < 5; i++) for (const limit of Object.values(limits)) await fastestOf(limit);
  if (!options.json) console.log(`\n${device.description}`);
  for (const item of items) {
    if (!wanted.test(item.name) || (device.name === 'reference' && item.small !== true)) continue;
    const result = await measure(item, name, limits);
    results.push(result);
    if (!options.json) print(result);
  }
}
if (options.json) {
  const { version: node, platform, arch } = process;
  const machine = { node, platform, arch, cores: availableParallelism() };
  console.log(JSON.stringify({ machine, results }, null, 2));
}
