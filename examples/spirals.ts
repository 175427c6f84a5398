/**
 * A small network learns to tell two spirals apart: data, model, optimiser and training in plain functions.
 *
 *   npm start
 */
import { valueAndGrad } from 'diffusion-dpo/autograd';
import {
  argMax,
  cast,
  concat,
  cos,
  crossEntropy,
  equal,
  item,
  key,
  linear,
  linspace,
  mapTree,
  random,
  realize,
  sin,
  stack,
  type Tensor,
  tanh,
  tensor,
  zeros,
  zerosLike,
  zipTrees,
} from 'diffusion-dpo/tensor';
import { checkGradients } from 'diffusion-dpo/testing';

// The data: points on two spiral arms, and the number of each point's arm.

interface Batch {
  readonly points: Tensor; // f32[N, 2]
  readonly arms: Tensor; // i32[N]
}

function spirals(randomKey: Tensor, pointsPerArm: number): Batch {
  const radius = linspace(0.1, 1, pointsPerArm);
  const arm = (start: number) => {
    const angle = radius.mul(3 * Math.PI).add(start);
    return stack([radius.mul(cos(angle)), radius.mul(sin(angle))], 1);
  };
  const noise = random.normal(randomKey, [2 * pointsPerArm, 2]).mul(0.02);
  const arms = Int32Array.from({ length: 2 * pointsPerArm }, (_, i) => Math.floor(i / pointsPerArm));
  return { points: concat([arm(0), arm(Math.PI)]).add(noise), arms: tensor(arms) };
}

// The model: its parameters are plain objects, and the network is a function of them.

interface Layer {
  readonly weight: Tensor; // [outputs, inputs]
  readonly bias: Tensor; // [outputs]
}

function initModel(randomKey: Tensor, widths: readonly number[]): readonly Layer[] {
  return random.split(randomKey, widths.length - 1).map((layerKey, i) => {
    const [inputs, outputs] = widths.slice(i, i + 2) as [number, number];
    const weight = random.normal(layerKey, [outputs, inputs]).div(Math.sqrt(inputs));
    return { weight, bias: zeros([outputs]) };
  });
}

/** Points [N, 2] to one score for each arm, [N, 2]; tanh between the layers. */
const network = (layers: readonly Layer[], points: Tensor): Tensor =>
  layers.reduce((x, { weight, bias }, i) => linear(i === 0 ? x : tanh(x), weight, bias), points);

const loss = (layers: readonly Layer[], { points, arms }: Batch): Tensor => crossEntropy(network(layers, points), arms);

const accuracy = (layers: readonly Layer[], { points, arms }: Batch): Tensor =>
  cast(equal(argMax(network(layers, points), 1), arms), 'f32').mean();

// The optimiser: Adam (Kingma & Ba 2015) as a function from one state to the next.

interface TrainState {
  readonly params: readonly Layer[];
  readonly firstMoment: readonly Layer[];
  readonly secondMoment: readonly Layer[];
  readonly count: number;
  readonly loss: Tensor;
}

function start(params: readonly Layer[]): TrainState {
  const nothing = mapTree(params, zerosLike);
  return { params, firstMoment: nothing, secondMoment: nothing, count: 0, loss: zeros([]) };
}

const steps = 400;

function step(state: TrainState, batch: Batch): TrainState {
  const [value, gradients] = valueAndGrad(loss)(state.params, batch);
  const count = state.count + 1;
  const [decay1, decay2] = [0.9, 0.99];
  // Smaller steps towards the end, so that training settles.
  const learningRate = 0.02 * (1 - state.count / steps);
  const firstMoment = zipTrees((m, g) => m.mul(decay1).add(g.mul(1 - decay1)), state.firstMoment, gradients);
  const secondMoment = zipTrees((v, g) => v.mul(decay2).add(g.square().mul(1 - decay2)), state.secondMoment, gradients);
  const params = zipTrees(
    (p, m, v) => {
      const [mean, variance] = [m.div(1 - decay1 ** count), v.div(1 - decay2 ** count)];
      return p.sub(mean.div(variance.sqrt().add(1e-8)).mul(learningRate));
    },
    state.params,
    firstMoment,
    secondMoment,
  );
  return { params, firstMoment, secondMoment, count, loss: value };
}

// Training. Everything so far only describes; `realize` computes, and may reuse the memory of the state it replaces.

const batch = await realize(spirals(key(0), 200));
let state = await realize(start(initModel(key(1), [2, 32, 32, 2])));

console.log('Two spirals, 400 points; a network with layers of 2, 32, 32 and 2');
while (state.count < steps) {
  state = await realize(step(state, batch), { donate: state });
  if (state.count % 50 === 0) {
    const [error, share] = [await item(state.loss), await item(accuracy(state.params, batch))];
    console.log(`step ${state.count}   loss ${error.toFixed(3)}   accuracy ${(100 * share).toFixed(1)} %`);
  }
}

// Is the gradient right? Compare it, in float64, with central differences in random directions.

const { worst, checked } = await checkGradients(loss, [state.params, batch]);
console.log(`gradient: within ${worst?.error.toExponential(0)} of central differences in ${checked} directions`);
