/**
 * The items of the comparison with other frameworks, written as a program that uses the built package: every call builds
 * its graph anew, waits for the result, and frees the previous one.
 */
import { valueAndGrad } from 'diffusion-dpo/autograd';
import {
  conv2d,
  crossEntropy,
  dispose,
  groupNorm,
  mapTree,
  matmul,
  openDevice,
  read,
  realize,
  relu,
  scaledDotProductAttention,
  setDefaultDevice,
  silu,
  tensor,
  zeros,
  zipTrees,
} from 'diffusion-dpo/tensor';

const learningRate = { sgd: 0.1, adam: 1e-3 };
const labels = (count, classes) => Int32Array.from({ length: count }, (_, i) => (i * 7 + 3) % classes);
/** The entries of the kernels' gradients that the comparison checks. */
const probes = { w1: [0, 17777, 36863], w2: [5, 20000, 36000] };

/** Uploads the inputs, so that no step pays for it. */
const place = (inputs) => realize(mapInputs(inputs));
const mapInputs = (inputs) =>
  Object.fromEntries(Object.entries(inputs).map(([name, { shape, data }]) => [name, tensor(data, { shape })]));

/** Waits until all earlier work is computed: a GPU may still compute after `realize`. */
async function syncing() {
  const mark = await realize(zeros([1]));
  return async () => {
    await read(mark);
  };
}

/** A job that computes `f` of the inputs in each step. */
async function forward(inputs, f) {
  const placed = await place(inputs);
  const sync = await syncing();
  let last;
  return {
    async step() {
      const next = await realize(f(placed));
      dispose(last);
      last = next;
    },
    sync,
    check: () => read(f(placed)),
    dispose: () => dispose([placed, last]),
  };
}

const chain = ({ x }) => x.mul(1.5).add(0.25).tanh().mul(x).abs().add(1).sqrt().mul(-1).exp().sub(x);

/** Labels are the same in each step, like the inputs. */
const mlpLoss = ({ w1, b1, w2, b2 }, x, target) =>
  crossEntropy(matmul(relu(matmul(x, w1).add(b1)), w2).add(b2), target);

/** One update of all parameters, and the loss before it. */
const updates = {
  sgd: ({ params }, x, target) => {
    const [loss, gradients] = valueAndGrad(mlpLoss)(params, x, target);
    return { loss, params: zipTrees((p, g) => p.sub(g.mul(learningRate.sgd)), params, gradients) };
  },
  adam: ({ params, first, second, step }, x, target) => {
    const [loss, gradients] = valueAndGrad(mlpLoss)(params, x, target);
    const m = zipTrees((old, g) => old.mul(0.9).add(g.mul(0.1)), first, gradients);
    const v = zipTrees((old, g) => old.mul(0.999).add(g.square().mul(0.001)), second, gradients);
    const [forM, forV] = [1 - 0.9 ** step, 1 - 0.999 ** step];
    const moved = (p, mean, square) =>
      p.sub(mean.div(forM).mul(learningRate.adam).div(square.div(forV).sqrt().add(1e-8)));
    return { loss, params: zipTrees(moved, params, m, v), first: m, second: v, step: step + 1 };
  },
};

async function mlp({ opt }, { x: images, ...weights }) {
  const { x, target } = await realize({ ...mapInputs({ x: images }), target: tensor(labels(256, 10)) });
  const fresh = async () => {
    const params = await place(weights);
    if (opt === 'sgd') return { params };
    const nothing = () => realize(mapTree(params, ({ shape }) => zeros(shape)));
    return { params, first: await nothing(), second: await nothing(), step: 1 };
  };
  const run = (state) => realize(updates[opt](state, x, target), { donate: state });
  let state = await fresh();
  const sync = await syncing();
  return {
    async step() {
      state = await run(state);
    },
    sync,
    async check() {
      let other = await fresh();
      const losses = [];
      for (let i = 0; i < 4; i++) {
        other = await run(other);
        losses.push((await read(other.loss))[0]);
      }
      dispose(other);
      return losses;
    },
    dispose: () => dispose([state, x, target]),
  };
}

const blockLoss = ({ x, w1, w2, g1, b1, g2, b2 }) => {
  const normed = (y, weight, bias) => silu(groupNorm(y, 32, { weight, bias }));
  const a = conv2d(normed(x, g1, b1), w1, { padding: 1 });
  return x
    .add(conv2d(normed(a, g2, b2), w2, { padding: 1 }))
    .square()
    .mean();
};

async function resblock(_, inputs) {
  const placed = await place(inputs);
  const run = () => realize(valueAndGrad(blockLoss)(placed));
  let last;
  const sync = await syncing();
  return {
    async step() {
      const next = await run();
      dispose(last);
      last = next;
    },
    sync,
    async check() {
      const result = await run();
      const [loss, gradients] = result;
      const values = [...(await read(loss))];
      for (const [name, places] of Object.entries(probes)) {
        const gradient = await read(gradients[name]);
        values.push(...places.map((i) => gradient[i]));
      }
      dispose(result);
      return values;
    },
    dispose: () => dispose([placed, last]),
  };
}

const items = {
  matmul: (_, inputs) => forward(inputs, ({ a, b }) => matmul(a, b)),
  bmm: (_, inputs) => forward(inputs, ({ a, b }) => matmul(a, b)),
  conv: (_, inputs) => forward(inputs, ({ x, w }) => conv2d(x, w, { padding: 1 })),
  gn: ({ G }, inputs) => forward(inputs, ({ x, gamma, beta }) => silu(groupNorm(x, G, { weight: gamma, bias: beta }))),
  attn: (_, inputs) => forward(inputs, ({ q, k, v }) => scaledDotProductAttention(q, k, v)),
  chain: (_, inputs) => forward(inputs, chain),
  sum: (_, inputs) => forward(inputs, ({ x }) => x.sum()),
  mlp,
  resblock,
};

// biome-ignore lint/style/noDefaultExport: the comparison loads adapters by their default export.
export default async function open({ device: kind, ...options }) {
  if (kind === 'webgpu') Object.assign(globalThis, (await import('webgpu')).globals);
  const device = await openDevice(kind, options);
  setDefaultDevice(device);
  return { info: device.description, items };
}
