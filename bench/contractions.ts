import { stridesOf } from '../tensor/shape.ts';
import { planConv } from '../tensor/wasm/contractions/conv/plan.ts';
import { planMatmul } from '../tensor/wasm/contractions/matmul/plan.ts';
import { contractionModule } from '../tensor/wasm/contractions/module.ts';
import { bindWords } from '../tensor/wasm/contractions/parameters.ts';
import type { ContractionDType, ContractionPlan, View } from '../tensor/wasm/contractions/plan.ts';

/**
 * GFLOP/s of WebAssembly contractions on one thread, and their ratio to the bare register block over packed panels in the
 * cache. Both are measured in the same rounds and compared by their minima, because a shared machine varies in speed.
 *
 *   npx tsx bench/contractions.ts [part of a name]
 *   node --experimental-wasm-relaxed-simd --import tsx bench/contractions.ts   (Node 20; later versions need no flag)
 */
interface Item {
  readonly name: string;
  readonly dtype: ContractionDType;
  readonly plan: ContractionPlan;
  readonly bytes: { readonly a: number; readonly b: number; readonly out: number };
  readonly flop: number;
}

type Call = (...values: readonly number[]) => void;

const pages = 4096;
const memory = new WebAssembly.Memory({ initial: pages });
const build = (relaxed: boolean) => new WebAssembly.Module(contractionModule({ relaxed, memory: { initial: pages } }));

function builtModule(): { readonly module: WebAssembly.Module; readonly relaxed: boolean } {
  try {
    return { module: build(true), relaxed: true };
  } catch {
    return { module: build(false), relaxed: false };
  }
}

const { module, relaxed } = builtModule();
const calls = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Readonly<
  Record<string, Call>
>;

const product = (list: readonly number[]): number => list.reduce((a, b) => a * b, 1);
const bytesOf = (dtype: ContractionDType): number => (dtype === 'f64' ? 8 : 4);
const transposed = (rows: number, columns: number): View => ({ shape: [rows, columns], strides: [1, rows] });

function matmul(name: string, a: View, b: View, dtype: ContractionDType = 'f32'): Item {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const n = b.shape.at(-1) as number;
  const out = { shape: [...a.shape.slice(0, -2), m, n] };
  const size = (view: View): number => product(view.shape) * bytesOf(dtype);
  return {
    name: `${name}${dtype === 'f32' ? '' : ` ${dtype}`}`,
    dtype,
    plan: planMatmul(dtype, { a, b, out }),
    bytes: { a: size(a), b: size(b), out: size(out) },
    flop: 2 * product(out.shape) * k,
  };
}

const square = (size: number): View => ({ shape: [size, size] });

/** A convolution with padding kernel/2, and its gradients by input and kernel, all as the general convolution. */
function conv(
  inputs: number,
  height: number,
  width: number,
  outputs: number,
  more: Partial<Record<'n' | 'kernel' | 'stride', number>> = {},
): Item[] {
  const { n = 1, kernel = 3, stride = 1 } = more;
  const pad = Math.floor(kernel / 2);
  const [outHeight, outWidth] = [height, width].map((size) => Math.floor((size + 2 * pad - kernel) / stride) + 1) as [
    number,
    number,
  ];
  const x: View = { shape: [n, inputs, height, width] };
  const w: View = { shape: [outputs, inputs, kernel, kernel] };
  const y: View = { shape: [n, outputs, outHeight, outWidth] };
  const two = (value: number): number[] => [value, value];
  const plain = {
    strides: two(1),
    before: two(pad),
    after: two(pad),
    inputDilation: two(1),
    kernelDilation: two(1),
    groups: 1,
  };
  const flop = 2 * product(y.shape) * inputs * kernel * kernel;
  const bytes = (view: View): number => product(view.shape) * 4;
  const item = (name: string, a: View, b: View, out: View, attributes: typeof plain): Item => ({
    name: `${name} ${n}×${inputs}→${outputs} @${height}×${width} ${kernel}×${kernel}${stride === 1 ? '' : ` stride ${stride}`}`,
    dtype: 'f32',
    plan: planConv('f32', { x: a, w: b, out }, attributes),
    bytes: { a: bytes(a), b: bytes(b), out: bytes(out) },
    flop,
  });
  const exchanged = (view: View): View => {
    const swap = ([first, second, ...rest]: readonly number[]) => [second as number, first as number, ...rest];
    return { shape: swap(view.shape), strides: swap(view.strides ?? stridesOf(view.shape)) };
  };
  return [
    item('conv', x, w, y, { ...plain, strides: two(stride) }),
    // The flipped kernel is a contiguous array, as after `flip`.
    item('  by input', y, { shape: [inputs, outputs, kernel, kernel] }, x, {
      ...plain,
      before: two(kernel - 1 - pad),
      inputDilation: two(stride),
    }),
    item('  by kernel', exchanged(x), exchanged(y), exchanged(w), { ...plain, kernelDilation: two(stride) }),
  ];
}

const items: Item[] = [
  ...[256, 512, 1024].map((n) => matmul(`matmul ${n}`, square(n), square(n))),
  matmul('matmul 512 A·Bᵀ', square(512), transposed(512, 512)),
  matmul('matmul 512 Aᵀ·B', transposed(512, 512), square(512)),
  matmul('matmul 509', square(509), square(509)),
  matmul('matmul 77', square(77), square(77)),
  matmul('bmm 16×77×64×77', { shape: [16, 77, 64] }, { shape: [16, 64, 77] }),
  matmul('bmm 8×1024×40×1024', { shape: [8, 1024, 40] }, { shape: [8, 40, 1024] }),
  matmul('bmm 8×1024×1024×40', { shape: [8, 1024, 1024] }, { shape: [8, 1024, 40] }),
  matmul('matmul 77×768×768', { shape: [77, 768] }, { shape: [768, 768] }),
  matmul('matmul 256×784×512', { shape: [256, 784] }, { shape: [784, 512] }),
  ...[1, 2, 3, 4, 5, 8].map((m) => matmul(`matmul ${m}×1024×1024`, { shape: [m, 1024] }, square(1024))),
  ...[1, 2, 3, 5, 8].map((m) => matmul(`matmul ${m}×1000×1000`, { shape: [m, 1000] }, square(1000))),
  ...[1, 3, 4].map((m) => matmul(`matmul ${m}×1024×1024ᵀ`, { shape: [m, 1024] }, transposed(1024, 1024))),
  matmul('matmul 1024×1024×1', square(1024), { shape: [1024, 1] }),
  matmul('matmul 1024×3×1024', { shape: [1024, 3] }, { shape: [3, 1024] }),
  ...conv(64, 32, 32, 64),
  ...conv(320, 32, 32, 320),
  ...conv(128, 64, 64, 128),
  ...conv(64, 16, 16, 64, { n: 4 }),
  ...conv(128, 64, 64, 128, { stride: 2 }),
  ...conv(64, 33, 31, 64),
  ...conv(3, 32, 32, 64, { n: 4 }),
  ...conv(64, 32, 32, 3, { n: 4 }),
  ...conv(1280, 8, 8, 1280),
  ...conv(320, 32, 32, 320, { kernel: 1 }),
  ...conv(64, 4, 4, 64, { n: 16 }),
  matmul('matmul 512', square(512), square(512), 'f64'),
  matmul('matmul 512', square(512), square(512), 'i32'),
];

/** Places an item in memory. Each call of the result runs it and returns its time in milliseconds. */
function runnerOf({ plan, bytes }: Item): () => number {
  let end = 1 << 20;
  const place = (size: number): number => {
    const here = end;
    end += Math.ceil(size / 64) * 64 + 64;
    if (end > pages * 65536) throw new Error('the items need more memory');
    return here;
  };
  const addresses = { a: place(bytes.a), b: place(bytes.b), out: place(bytes.out), scratch: place(plan.scratchBytes) };
  const scratch = place(plan.threadScratchBytes);
  const steps = plan.phases.flat().map(({ name, units, words }) => {
    const bound = bindWords(words, addresses);
    return { call: calls[name] as Call, units, bound, parameters: place(bound.byteLength) };
  });
  /** Milliseconds from which units are timed one by one, so that an interruption spoils only one of them. */
  const long = 0.1;
  const rests = steps.map(({ units }) => new Float64Array(units).fill(Infinity));
  const once = (): number => {
    let total = 0;
    steps.forEach(({ call, units, bound, parameters }, s) => {
      new Int32Array(memory.buffer, parameters, bound.length).set(bound);
      const least = rests[s] as Float64Array;
      for (let unit = 0; unit < units; unit++) {
        const start = performance.now();
        call(parameters, unit, scratch);
        least[unit] = Math.min(least[unit] as number, performance.now() - start);
      }
      total += least.reduce((sum, time) => sum + time, 0);
    });
    return total;
  };
  const many = (): number => {
    const start = performance.now();
    for (const { call, units, parameters } of steps) {
      for (let unit = 0; unit < units; unit++) call(parameters, unit, scratch);
    }
    return performance.now() - start;
  };
  once();
  return once() > 20 * long ? once : many;
}

/** The register block alone: 128 rows, 64 columns and 256 steps, all in the cache. */
function bare(element: string): { readonly run: () => void; readonly flop: number } {
  const [rows, columns, depth] = [128, 64, 256];
  const size = element === 'f64' ? 8 : 4;
  const panel = 32 / size;
  const [a, b, c] = [65536, 65536 + rows * depth * size, 65536 + (rows + columns) * depth * size];
  const kernel = calls[`rows_${element}`] as Call;
  return {
    run: () => {
      for (let j = 0; j < columns; j += panel) {
        kernel(a, b + j * depth * size, c + j * size, columns * size, depth, rows, 1);
      }
    },
    flop: 2 * rows * columns * depth,
  };
}

const wanted = process.argv[2] ?? '';
const milliseconds = Number(process.env.MILLISECONDS ?? 400);

console.log(`${relaxed ? 'relaxed multiply-add' : 'multiply and add'}, one thread, Node ${process.versions.node}`);
for (const item of items.filter(({ name }) => name.includes(wanted))) {
  new Float32Array(memory.buffer).fill(item.dtype === 'f32' ? 0.01 : 0);
  const kernel = bare(item.dtype);
  const run = runnerOf(item);
  let [best, bestBare] = [Infinity, Infinity];
  const end = performance.now() + milliseconds;
  for (let round = 0; round < 8 || performance.now() < end; round++) {
    for (let i = 0; i < 10; i++) {
      const start = performance.now();
      kernel.run();
      bestBare = Math.min(bestBare, performance.now() - start);
    }
    best = Math.min(best, run());
  }
  const [rate, limit] = [item.flop / best / 1e6, kernel.flop / bestBare / 1e6];
  console.log(
    `${item.name.padEnd(44)} ${rate.toFixed(1).padStart(6)} GFLOP/s  ${(rate / limit).toFixed(2)} of ${limit.toFixed(1)}`,
  );
}
