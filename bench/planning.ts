/**
 * The time of planning a training step of a deep network with 20,000 nodes: in a fresh process; in a warm process, for
 * other graphs of nearly that size; and again for a known graph.
 *
 *   npx tsx bench/planning.ts
 *   npx tsx bench/planning.ts --layers 100 --json
 */
import { parseArgs } from 'node:util';
import { grad } from 'diffusion-dpo/autograd';
import {
  explain,
  flattenTree,
  inputsOf,
  key,
  layerNorm,
  matmul,
  openDevice,
  random,
  realize,
  silu,
  type Tensor,
} from 'diffusion-dpo/tensor';
import { topologicalOrder } from '../tensor/internal.ts';

const { values: options } = parseArgs({
  options: { layers: { type: 'string', default: '320' }, json: { type: 'boolean', default: false } },
});
const layers = Number(options.layers);
const device = await openDevice('wasm', { threads: 1 });
const shapes = [[8, 16], ...Array.from({ length: layers }, () => [16, 16])];
const [x, ...weights] = await realize(
  shapes.map((shape, i) => random.normal(key(i), shape)),
  { device },
);

/** A step of gradient descent on residual layers, the first `trained` of which are updated. */
function step(trained = layers): Tensor[] {
  const loss = (trainable: readonly Tensor[]): Tensor =>
    trainable
      .reduce((h, w) => h.add(silu(layerNorm(matmul(h, w)))), x as Tensor)
      .square()
      .mean();
  const grads = grad(loss)(weights);
  return weights.slice(0, trained).map((w, i) => w.sub((grads[i] as Tensor).mul(1e-3)));
}

const nodes = topologicalOrder(
  flattenTree(step()).map(({ tensor }) => tensor),
  inputsOf,
).length;

const time = async (f: () => unknown): Promise<number> => {
  const start = performance.now();
  await f();
  return performance.now() - start;
};
const cold = await time(() => explain(step(), { device }));
/** The median time of planning nine graphs. */
async function typical(treeOf: (i: number) => unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const tree = treeOf(i);
    times.push(await time(() => explain(tree, { device })));
  }
  return times.toSorted((a, b) => a - b)[4] as number;
}
const others = await typical((i) => step(layers - 1 - i));
const cached = await typical(() => step());
const building = await time(() => step());
const result = { nodes, building, cold: cold - building, others, cached };
if (options.json) console.log(JSON.stringify(result));
else {
  console.log(
    `${nodes} nodes: built in ${building.toFixed(0)} ms, planned in ${result.cold.toFixed(0)} ms as the first thing, ` +
      `in ${others.toFixed(0)} ms later, in ${cached.toFixed(0)} ms when known`,
  );
}
