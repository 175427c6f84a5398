import { valueAndGrad } from 'diffusion-dpo/autograd';
import {
  conv2d,
  crossEntropy,
  groupNorm,
  key,
  mapTree,
  matmul,
  ones,
  random,
  realize,
  relu,
  silu,
  type Tensor,
  zeros,
  zipTrees,
} from 'diffusion-dpo/tensor';
import { finish } from './devices.ts';

const drawn = (index: number, shape: readonly number[], scale = 1): Tensor =>
  random.normal(key(index), shape).mul(scale);

/** Examples, inputs, hidden units and classes of a network with one hidden layer. */
export type MlpSizes = readonly [examples: number, inputs: number, hidden: number, classes: number];

type Parameters = Readonly<Record<'w1' | 'b1' | 'w2' | 'b2', Tensor>>;

interface TrainingState {
  readonly params: Parameters;
  /** Adam's running means of the gradients (`first`) and of their squares (`second`). */
  readonly first: Parameters;
  readonly second: Parameters;
  readonly steps: number;
}

/** The FLOP of a step's matrix products: forward, and the gradients of both weights and of the hidden layer. */
export const mlpFlop = ([examples, inputs, hidden, classes]: MlpSizes): number =>
  2 * examples * (2 * inputs * hidden + 3 * hidden * classes);

/** Training steps of a network with one hidden layer; each call is one step and donates the state before it. */
export async function mlpTraining(sizes: MlpSizes, optimizer: 'sgd' | 'adam'): Promise<() => Promise<void>> {
  const [examples, inputs, hidden, classes] = sizes;
  const [x, target] = await realize([
    drawn(0, [examples, inputs]),
    random.randint(key(1), [examples], 0, classes),
  ] as const);
  const params = {
    w1: drawn(2, [inputs, hidden], inputs ** -0.5),
    b1: zeros([hidden]),
    w2: drawn(3, [hidden, classes], hidden ** -0.5),
    b2: zeros([classes]),
  };
  const nothing = (): Parameters => mapTree(params, ({ shape }) => zeros(shape));
  const loss = ({ w1, b1, w2, b2 }: Parameters): Tensor =>
    crossEntropy(matmul(relu(matmul(x, w1).add(b1)), w2).add(b2), target);

  const step = ({ params, first, second, steps }: TrainingState): TrainingState & { readonly loss: Tensor } => {
    const [value, gradients] = valueAndGrad(loss)(params);
    if (optimizer === 'sgd') {
      const moved = zipTrees((p, g) => p.sub(g.mul(0.1)), params, gradients);
      return { loss: value, params: moved, first, second, steps: steps + 1 };
    }
    const m = zipTrees((old, g) => old.mul(0.9).add(g.mul(0.1)), first, gradients);
    const v = zipTrees((old, g) => old.mul(0.999).add(g.square().mul(0.001)), second, gradients);
    const [forM, forV] = [1 - 0.9 ** (steps + 1), 1 - 0.999 ** (steps + 1)];
    const move = (p: Tensor, mean: Tensor, square: Tensor): Tensor =>
      p.sub(mean.div(forM).mul(1e-3).div(square.div(forV).sqrt().add(1e-8)));
    return { loss: value, params: zipTrees(move, params, m, v), first: m, second: v, steps: steps + 1 };
  };
  let state: TrainingState = await realize({ params, first: nothing(), second: nothing(), steps: 0 });
  return async () => {
    state = await finish(step(state), { donate: state });
  };
}

/** The sizes of a residual block's input, and the groups of its norms. */
export interface BlockSizes {
  readonly images: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly groups: number;
}

/** The FLOP of a block's convolutions, forward and backward. */
export const blockFlop = ({ images, channels, height, width }: BlockSizes): number =>
  3 * 2 * 2 * images * channels * channels * 9 * height * width;

type Affine = Readonly<Record<'weight' | 'bias', Tensor>>;

interface Block {
  readonly w1: Tensor;
  readonly w2: Tensor;
  readonly norm1: Affine;
  readonly norm2: Affine;
}

/** A block's parameters, its input, and the loss mean(y²) of y = x + conv(silu(norm(conv(silu(norm(x)))))). */
async function residualBlock({ images, channels, height, width, groups }: BlockSizes) {
  const kernel = (index: number): Tensor => drawn(index, [channels, channels, 3, 3], (9 * channels) ** -0.5);
  const norm = (): Affine => ({ weight: ones([channels]), bias: zeros([channels]) });
  const params: Block = { w1: kernel(5), w2: kernel(6), norm1: norm(), norm2: norm() };
  const half = (x: Tensor, weight: Tensor, affine: Affine): Tensor =>
    conv2d(silu(groupNorm(x, groups, affine)), weight, { padding: 1 });
  const loss = ({ w1, w2, norm1, norm2 }: Block, x: Tensor): Tensor =>
    x
      .add(half(half(x, w1, norm1), w2, norm2))
      .square()
      .mean();
  return { ...(await realize({ params, x: drawn(4, [images, channels, height, width]) })), loss };
}

/** Builds, at each call, the graph of a block's loss and its gradients with respect to all parameters. */
export async function blockGradients(sizes: BlockSizes): Promise<() => unknown> {
  const { params, x, loss } = await residualBlock(sizes);
  return () => valueAndGrad(loss)(params, x);
}

/** Training steps of a block, by stochastic gradient descent; each call is one step. */
export async function blockTraining(sizes: BlockSizes): Promise<() => Promise<void>> {
  const { params, x, loss } = await residualBlock(sizes);
  let state = params;
  return async () => {
    const [value, gradients] = valueAndGrad((params: Block) => loss(params, x))(state);
    const moved = zipTrees((p, g) => p.sub(g.mul(1e-3)), state, gradients);
    await finish({ value, moved }, { donate: state });
    state = moved;
  };
}
