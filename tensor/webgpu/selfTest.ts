import { tensor } from '../creation.ts';
import type { StorageArray } from '../dtype.ts';
import { topologicalOrder } from '../graph.ts';
import { softmax } from '../ops/activations.ts';
import { matmul } from '../ops/matmul.ts';
import { sum } from '../ops/reductions.ts';
import { giveUp } from '../placement.ts';
import { inputsOf, sourceOf, type Tensor } from '../tensor.ts';
import type { WebGpuDevice } from './device.ts';

/** Sizes that reach the kernels of large products and of long rows, and that these do not divide. */
const [rows, depth, columns] = [70, 131, 66];

/** The softmax of a product, and the product's sum, in double precision. */
function expected(a: Float32Array, b: Float32Array): { readonly shares: Float64Array; readonly total: number } {
  const shares = new Float64Array(rows * columns);
  let total = 0;
  for (let i = 0; i < rows; i++) {
    const logits = Array.from({ length: columns }, (_, j) => {
      let product = 0;
      for (let k = 0; k < depth; k++) product += (a[i * depth + k] as number) * (b[k * columns + j] as number);
      return product;
    });
    const exponentials = logits.map(Math.exp);
    const all = exponentials.reduce((x, y) => x + y);
    exponentials.forEach((one, j) => {
      shares[i * columns + j] = one / all;
    });
    total += logits.reduce((x, y) => x + y);
  }
  return { shares, total };
}

/** Runs a graph on a device, below what chooses devices and queues runs, and downloads its results. */
async function compute(device: WebGpuDevice, outputs: readonly Tensor[]): Promise<StorageArray[]> {
  const order = topologicalOrder(outputs, inputsOf).filter((tensor) => sourceOf(tensor).kind === 'pending');
  const buffers = await device.run({ order, outputs, donated: new Set() });
  const results = await Promise.all(buffers.map((buffer) => device.download(buffer)));
  for (const buffer of buffers) device.free(buffer);
  return results;
}

/** Computes something small whose result is known; says what is wrong with it, if something is. */
export async function selfTest(device: WebGpuDevice): Promise<string | undefined> {
  const numbers = (count: number, seed: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin((i + seed) * 0.7) / 4);
  const [a, b] = [numbers(rows * depth, 1), numbers(depth * columns, 2)];
  try {
    const [left, right] = [tensor(a, { shape: [rows, depth], device }), tensor(b, { shape: [depth, columns], device })];
    const product = matmul(left, right);
    const [shares = [], [total = Number.NaN] = []] = await compute(device, [softmax(product), sum(product)]);
    for (const operand of [left, right]) giveUp(operand, 'the test of the device is over');
    const truth = expected(a, b);
    // A logit is a sum of 131 products of at most 1/16, each rounded by 2^-24 of at most 131/16; the total is one of 4,620.
    const bound = 131 * (131 / 16) * 2 ** -24;
    const wrong = shares.findIndex(
      (share, i) => !(Math.abs(Number(share) / (truth.shares[i] as number) - 1) <= 4 * bound),
    );
    if (wrong >= 0) return `element ${wrong} of a softmax is ${shares[wrong]} instead of ${truth.shares[wrong]}`;
    if (!(Math.abs(Number(total) - truth.total) <= rows * columns * bound))
      return `a sum is ${total} instead of ${truth.total}`;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
