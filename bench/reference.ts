/**
 * How fast graphs are built, differentiated and run by the reference executor.
 *
 *   npm run bench             a table
 *   npm run bench -- --json   the same for programs
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { grad } from 'diffusion-dpo/autograd';
import {
  add,
  conv2d,
  crossEntropy,
  dispose,
  exp,
  key,
  linear,
  matmul,
  nextTensorId,
  random,
  realize,
  scaledDotProductAttention,
  softmax,
  sum,
  type Tensor,
  tanh,
  treeLeaves,
  zeros,
} from 'diffusion-dpo/tensor';
import { Bench } from 'tinybench';

type Unit = 'GFLOP/s' | 'GB/s' | 'M nodes/s' | 'M numbers/s';

interface Case {
  readonly name: string;
  readonly unit: Unit;
  /** Work of one run in the unit's numerator, without its prefix: FLOP, bytes, nodes or numbers. */
  readonly work: number;
  readonly run: () => unknown;
}

const { values: options } = parseArgs({
  options: { json: { type: 'boolean', default: false }, time: { type: 'string', default: '1000' } },
});

const seed = key(0);
let drawn = 0;
const normal = (...shape: number[]): Promise<Tensor> => realize(random.normal(random.foldIn(seed, drawn++), shape));

/** Builds and runs a graph, and frees what it made. */
const running = (build: () => unknown) => async () => dispose(await realize(build()));

/** Only builds a graph; its work is the tensors that it makes. */
function building(name: string, build: () => unknown): Case {
  const before = nextTensorId();
  build();
  return { name, unit: 'M nodes/s', work: nextTensorId() - before, run: build };
}

// Graphs

const small = zeros([8]);
const chain = () => {
  let x = small;
  for (let i = 0; i < 1000; i++) x = add(x, small);
  return x;
};

const layers = [await normal(32, 2), await normal(32, 32), await normal(2, 32)];
const points = await normal(256, 2);
const arms = await realize(random.randint(key(1), [256], 0, 2));
const loss = (weights: readonly Tensor[]): Tensor =>
  crossEntropy(
    weights.reduce((x, weight, i) => linear(i === 0 ? x : tanh(x), weight), points),
    arms,
  );

const deep = (x: Tensor): Tensor => {
  let y = x;
  for (let i = 0; i < 250; i++) y = tanh(y.mul(y));
  return sum(y);
};

// Runs

const size = 1 << 20;
const [a, b] = [await normal(size), await normal(size)];
const [left, right] = [await normal(256, 256), await normal(256, 256)];
const scores = await normal(1024, 1024);
const [images, kernel] = [await normal(4, 32, 32, 32), await normal(32, 32, 3, 3)];
const [query, keys, value] = [await normal(4, 256, 32), await normal(4, 256, 32), await normal(4, 256, 32)];

const convFlop = 2 * 4 * 32 * 32 * 32 * 32 * 9;
const convLoss = ([x, w]: readonly [Tensor, Tensor]): Tensor => conv2d(x, w, { padding: 1 }).sum();

const cases: readonly Case[] = [
  building('build: 1,000 additions', chain),
  building('build: gradient of 500 nodes', () => grad(deep)(small)),
  building('build: gradient of a 3-layer network', () => grad(loss)(layers)),
  { name: 'add, 1 M', unit: 'GB/s', work: 12 * size, run: running(() => add(a, b)) },
  { name: 'exp, 1 M', unit: 'GB/s', work: 8 * size, run: running(() => exp(a)) },
  { name: 'sum of rows, 1024 × 1024', unit: 'GB/s', work: 4 * size, run: running(() => sum(scores, -1)) },
  { name: 'softmax, 1024 × 1024', unit: 'GB/s', work: 8 * size, run: running(() => softmax(scores)) },
  { name: 'matmul, 256 × 256 × 256', unit: 'GFLOP/s', work: 2 * 256 ** 3, run: running(() => matmul(left, right)) },
  {
    name: 'conv2d, 3 × 3, 32 → 32 channels, 4 × 32 × 32',
    unit: 'GFLOP/s',
    work: convFlop,
    run: running(() => conv2d(images, kernel, { padding: 1 })),
  },
  {
    name: 'conv2d, both gradients',
    unit: 'GFLOP/s',
    work: 2 * convFlop,
    run: running(() => grad(convLoss)([images, kernel])),
  },
  {
    name: 'attention, 4 heads, 256 tokens of 32',
    unit: 'GFLOP/s',
    work: 4 * 4 * 256 * 256 * 32,
    run: running(() => scaledDotProductAttention(query, keys, value)),
  },
  {
    name: 'normal random numbers, 256 k',
    unit: 'M numbers/s',
    work: 1 << 18,
    run: running(() => random.normal(seed, [1 << 18])),
  },
  {
    name: 'a training step’s gradient, 3-layer network',
    unit: 'GFLOP/s',
    work: 3 * 2 * 256 * treeLeaves(layers).reduce((total, { size }) => total + size, 0),
    run: running(() => grad(loss)(layers)),
  },
];

const prefix: Readonly<Record<Unit, number>> = { 'GFLOP/s': 1e9, 'GB/s': 1e9, 'M nodes/s': 1e6, 'M numbers/s': 1e6 };

const bench = new Bench({
  time: Number(options.time),
  warmupTime: 200,
  iterations: 5,
  warmupIterations: 2,
  throws: true,
});
for (const { name, run } of cases) bench.add(name, run);
await bench.run();

/** The median run of each case, the median distance from it, and the rate that the median makes. */
const results = cases.map(({ name, unit, work }) => {
  const result = bench.getTask(name)?.result;
  if (result?.state !== 'completed') throw new Error(`the case '${name}' did not complete`);
  const { p50, mad, samplesCount } = result.latency;
  return {
    name,
    milliseconds: p50,
    deviation: mad,
    runs: samplesCount,
    rate: work / (p50 / 1000) / prefix[unit],
    unit,
  };
});

if (options.json) {
  const machine = {
    node: process.version,
    platform: process.platform,
    arch: process.arch,
    cores: availableParallelism(),
  };
  console.log(JSON.stringify({ device: 'reference', machine, results }, null, 2));
} else {
  const width = Math.max(...results.map(({ name }) => name.length));
  for (const { name, milliseconds, deviation, rate, unit } of results) {
    const time = `${milliseconds.toPrecision(3)} ms ± ${((100 * deviation) / milliseconds).toFixed(0)} %`;
    console.log(`${name.padEnd(width)}  ${time.padStart(16)}  ${rate.toPrecision(2).padStart(6)} ${unit}`);
  }
}
