import { grad, vjp } from 'diffusion-dpo/autograd';
import {
  add,
  conv2d,
  dispose,
  groupNorm,
  key,
  layerNorm,
  matmul,
  random,
  realize,
  scaledDotProductAttention,
  silu,
  softmax,
  type Tensor,
  tanh,
  zeros,
} from 'diffusion-dpo/tensor';
import { nextTensorId } from '../tensor/internal.ts';
import { finish } from './devices.ts';
import type { LimitKind } from './limit.ts';
import {
  type BlockSizes,
  blockFlop,
  blockGradients,
  blockTraining,
  type MlpSizes,
  mlpFlop,
  mlpTraining,
} from './training.ts';

/** One row of the benchmark. */
export interface Item {
  readonly name: string;
  /** The work of one call in FLOP, bytes, nodes, steps or runs, by `unit`. */
  readonly work: number;
  readonly unit: 'GFLOP/s' | 'GB/s' | 'M nodes/s' | 'steps/s' | 'runs/s';
  /** The limit that bounds the item, and the work of one call in the limit's unit (FLOP or bytes). */
  readonly limit?: { readonly kind: LimitKind; readonly work: number };
  /** Small enough for the reference executor. */
  readonly small?: boolean;
  /** Makes the inputs on the default device; the function that it returns is timed. */
  readonly prepare: () => Promise<() => unknown>;
}

let drawn = 0;
const normal = (...shape: readonly number[]): Promise<Tensor> =>
  realize(random.normal(random.foldIn(key(0), drawn++), shape));
const normals = (...shapes: readonly (readonly number[])[]): Promise<Tensor[]> =>
  Promise.all(shapes.map((shape) => normal(...shape)));

/** Builds and runs a graph, and frees its results. */
const running = (build: () => unknown) => async (): Promise<void> => dispose(await finish(build()));

/** Prepares a function of random tensors of these shapes. */
const prepared =
  (shapes: readonly (readonly number[])[], f: (...inputs: Tensor[]) => unknown): Item['prepare'] =>
  async () => {
    const inputs = await normals(...shapes);
    return running(() => f(...inputs));
  };

type More = Pick<Item, 'small'>;

const arithmetic = (name: string, work: number, prepare: Item['prepare'], more: More = {}): Item => ({
  name,
  work,
  unit: 'GFLOP/s',
  limit: { kind: 'block', work },
  prepare,
  ...more,
});

/** An item bound by memory. `floats` is the number of elements that an ideal program reads and writes. */
const memoryBound = (name: string, floats: number, prepare: Item['prepare'], more: More = {}): Item => ({
  name,
  work: 4 * floats,
  unit: 'GB/s',
  limit: { kind: 'copy', work: 4 * floats },
  prepare,
  ...more,
});

const product = (m: number, k: number, n: number, more: More = {}): Item =>
  arithmetic(
    `matmul ${m}×${k}×${n}`,
    2 * m * k * n,
    prepared(
      [
        [m, k],
        [k, n],
      ],
      (a, b) => matmul(a as Tensor, b as Tensor),
    ),
    more,
  );

/** A 3 × 3 convolution with its two gradients. */
function convolution(
  [from, to]: readonly [number, number],
  [images, height, width]: readonly [number, number, number],
  more: More = {},
): Item[] {
  const name = `conv ${from}→${to} @${images === 1 ? '' : `${images}×`}${height}×${width}`;
  const shapes = [
    [images, from, height, width],
    [to, from, 3, 3],
    [images, to, height, width],
  ];
  const f = (x: Tensor, w: Tensor): Tensor => conv2d(x, w, { padding: 1 });
  const flop = 2 * 9 * from * to * images * height * width;
  const gradient = (which: 0 | 1) =>
    prepared(shapes, (x, w, g) => vjp(f, x as Tensor, w as Tensor).pullback(g as Tensor)[which]);
  return [
    arithmetic(
      name,
      flop,
      prepared(shapes, (x, w) => f(x as Tensor, w as Tensor)),
      more,
    ),
    arithmetic(`${name}, by input`, flop, gradient(0), more),
    arithmetic(`${name}, by kernel`, flop, gradient(1), more),
  ];
}

function attention(heads: number, tokens: number, width: number, more: More = {}): Item[] {
  const shape = [heads, tokens, width];
  const name = `attention ${heads}×${tokens}×${width}`;
  const f = (q: Tensor, k: Tensor, v: Tensor): Tensor => scaledDotProductAttention(q, k, v);
  const product = 2 * heads * tokens * tokens * width;
  return [
    arithmetic(
      name,
      2 * product,
      prepared([shape, shape, shape], (q, k, v) => f(q as Tensor, k as Tensor, v as Tensor)),
      more,
    ),
    // One product recomputes the scores; the gradients of q, k, v and of the scores are one each.
    arithmetic(
      `${name}, gradients`,
      5 * product,
      prepared([shape, shape, shape, shape], (q, k, v, g) =>
        vjp(f, q as Tensor, k as Tensor, v as Tensor).pullback(g as Tensor),
      ),
      more,
    ),
  ];
}

/** An item that reads and writes each element once. */
const mapping = (name: string, shape: readonly number[], f: (x: Tensor) => Tensor, more: More = {}): Item =>
  memoryBound(
    name,
    2 * shape.reduce((a, b) => a * b, 1),
    prepared([shape], (x) => f(x as Tensor)),
    more,
  );

const norm = (x: Tensor, groups: number): Tensor => {
  const channels = x.shape[1] as number;
  return silu(groupNorm(x, groups, { weight: zeros([channels]).add(1), bias: zeros([channels]) }));
};

const chain = (x: Tensor): Tensor => x.mul(1.5).add(0.25).tanh().mul(x).abs().add(1).sqrt().mul(-1).exp().sub(x);

const sum = (name: string, size: number, more: More = {}): Item => ({
  ...memoryBound(
    name,
    size,
    prepared([[size]], (x) => (x as Tensor).sum()),
    more,
  ),
  limit: { kind: 'sum', work: 4 * size },
});

const mlp = (sizes: MlpSizes, optimizer: 'sgd' | 'adam', more: More = {}): Item => ({
  name: `MLP ${sizes.join('×')}, ${optimizer === 'sgd' ? 'SGD' : 'Adam'}`,
  work: 1,
  unit: 'steps/s',
  limit: { kind: 'block', work: mlpFlop(sizes) },
  prepare: () => mlpTraining(sizes, optimizer),
  ...more,
});

function block(sizes: BlockSizes, more: More = {}): Item[] {
  const { images, channels, height, width } = sizes;
  const name = `ResNet block ${images}×${channels}×${height}×${width}`;
  const work = blockFlop(sizes);
  return [
    arithmetic(`${name}, forward and backward`, work, async () => running(await blockGradients(sizes)), more),
    {
      name: `${name}, SGD`,
      work: 1,
      unit: 'steps/s',
      limit: { kind: 'block', work },
      prepare: () => blockTraining(sizes),
      ...more,
    },
  ];
}

/** An item that only builds a graph; its work is the number of tensors made. */
function building(name: string, build: () => unknown): Item {
  const before = nextTensorId();
  build();
  return { name, work: nextTensorId() - before, unit: 'M nodes/s', small: true, prepare: async () => build };
}

const point = zeros([8]);
const additions = (): Tensor => {
  let x = point;
  for (let i = 0; i < 1000; i++) x = add(x, point);
  return x;
};
const deep = (x: Tensor): Tensor => {
  let y = x;
  for (let i = 0; i < 250; i++) y = tanh(y.mul(y));
  return y.sum();
};

const small = { small: true };

export const items: readonly Item[] = [
  building('build 1,000 additions', additions),
  building('build the gradient of 500 nodes', () => grad(deep)(point)),
  {
    name: 'one addition of 4 elements',
    work: 1,
    unit: 'runs/s',
    small: true,
    prepare: prepared([[4]], (x) => (x as Tensor).add(1)),
  },
  product(64, 64, 64, small),
  product(512, 512, 512),
  product(1024, 1024, 1024),
  product(509, 509, 509),
  product(77, 768, 768),
  arithmetic(
    'bmm 16×77×64×77',
    2 * 16 * 77 * 64 * 77,
    prepared(
      [
        [16, 77, 64],
        [16, 64, 77],
      ],
      (a, b) => matmul(a as Tensor, b as Tensor),
    ),
  ),
  ...convolution([8, 8], [1, 16, 16], small),
  ...convolution([64, 64], [1, 32, 32]),
  ...convolution([320, 320], [1, 32, 32]),
  ...convolution([128, 128], [1, 64, 64]),
  ...convolution([64, 64], [1, 33, 31]),
  ...convolution([3, 64], [4, 32, 32]),
  ...attention(2, 64, 16, small),
  ...attention(8, 1024, 40),
  ...attention(8, 1021, 37),
  mapping('GroupNorm and SiLU 1×320×32×32', [1, 320, 32, 32], (x) => norm(x, 32)),
  mapping('GroupNorm and SiLU 1×320×33×31', [1, 320, 33, 31], (x) => norm(x, 32)),
  mapping('softmax 64×64', [64, 64], softmax, small),
  mapping('softmax 4096×1024', [4096, 1024], softmax),
  mapping('softmax 4096×1001', [4096, 1001], softmax),
  mapping('layerNorm 4096×1024', [4096, 1024], (x) => layerNorm(x)),
  mapping('layerNorm 4096×1001', [4096, 1001], (x) => layerNorm(x)),
  mapping('chain of 10, 4 k', [1 << 12], chain, small),
  mapping('chain of 10, 4 M', [1 << 22], chain),
  mapping('chain of 10, 4,190,209', [2047 ** 2], chain),
  sum('sum of 4 k', 1 << 12, small),
  sum('sum of 16 M', 1 << 24),
  sum('sum of 16,769,025', 4095 ** 2),
  mlp([32, 16, 16, 4], 'sgd', small),
  mlp([256, 784, 512, 10], 'sgd'),
  mlp([256, 784, 512, 10], 'adam'),
  mlp([253, 781, 509, 11], 'sgd'),
  mlp([253, 781, 509, 11], 'adam'),
  ...block({ images: 1, channels: 8, height: 8, width: 8, groups: 4 }, small),
  ...block({ images: 1, channels: 64, height: 32, width: 32, groups: 32 }),
  ...block({ images: 1, channels: 64, height: 33, width: 31, groups: 32 }),
];
