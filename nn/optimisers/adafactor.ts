import { flattenTree, mapTree, replaceLeaves, type Tensor, TensorError, zeros, zipTrees } from '../../tensor/index.ts';
import { widened } from '../trees.ts';
import { inDtypeOf, type Optimiser, type OptimiserState, zeroMoment } from './optimiser.ts';

/** Options of `adafactor`, as those of transformers' Adafactor. */
export interface AdafactorOptions {
  /** Added to squared gradients, and the least scale of a parameter; default 1e-30 and 1e-3. */
  readonly eps?: readonly [number, number];
  /** The most that an update's root mean square may be; default 1. */
  readonly clipThreshold?: number;
  /** The means of squares decay by 1 − t^decayRate at step t; default −0.8. */
  readonly decayRate?: number;
  /** Decay of the mean of updates; default none. */
  readonly beta1?: number | undefined;
  readonly weightDecay?: number;
  /** Whether the learning rate is multiplied by the parameter's root mean square; default false. */
  readonly scaleParameter?: boolean;
  /** Whether the learning rate follows from the step, and the one that is given is a factor of it; default false. */
  readonly relativeStep?: boolean;
  /** Whether such a learning rate grows from almost nothing. */
  readonly warmupInit?: boolean;
}

/** Mean squares of a parameter's gradients: of matrices and kernels over the last axis, and over the one before. */
type MeanSquares = { readonly whole: Tensor } | { readonly rows: Tensor; readonly columns: Tensor };

/** The state of `adafactor`. */
export interface AdafactorState<P> extends OptimiserState<P> {
  /** By the parameters' paths. */
  readonly squares: Readonly<Record<string, MeanSquares>>;
  /** Means of updates, where `beta1` is given. */
  readonly mean: P | undefined;
}

const rootMeanSquare = (x: Tensor): Tensor => x.square().mean().sqrt();

function zeroSquares(x: Tensor): MeanSquares {
  const zero = zeroMoment(x);
  if (x.rank < 2) return { whole: zero };
  const without = (axis: number) => zeros(x.shape.toSpliced(axis, 1), { dtype: zero.dtype });
  return { rows: without(-1), columns: without(-2) };
}

/** Mean squares after one more gradient, and the gradient divided by their root. */
function divided(g: Tensor, old: MeanSquares, tiny: number, beta2: number): { squares: MeanSquares; update: Tensor } {
  const squared = g.square().add(tiny);
  const decayed = (mean: Tensor, now: Tensor) => mean.mul(beta2).add(now.mul(1 - beta2));
  if ('whole' in old) {
    const whole = decayed(old.whole, squared);
    return { squares: { whole }, update: g.div(whole.sqrt()) };
  }
  const rows = decayed(old.rows, squared.mean(-1));
  const columns = decayed(old.columns, squared.mean(-2));
  // rows ⊗ columns / mean(rows) stands for the squares themselves; its root is divided by in two parts.
  const byRow = rows.div(rows.mean(-1, { keepDims: true })).sqrt();
  return { squares: { rows, columns }, update: g.div(byRow.unsqueeze(-1)).div(columns.sqrt().unsqueeze(-2)) };
}

/**
 * Adam with the second moments of matrices kept as a row and a column (Shazeer & Stern 2018), as transformers' Adafactor
 * has it: convolution kernels are factored over their last two axes. Unlike there, scaleParameter and relativeStep are off
 * unless asked for, as diffusers' trainings have them.
 */
export function adafactor<P>({
  eps: [tiny, leastScale] = [1e-30, 1e-3],
  clipThreshold = 1,
  decayRate = -0.8,
  beta1,
  weightDecay = 0,
  scaleParameter = false,
  relativeStep = false,
  warmupInit = false,
}: AdafactorOptions = {}): Optimiser<P, AdafactorState<P>> {
  if (warmupInit && !relativeStep) throw new TensorError('adafactor: warmupInit needs relativeStep');
  return {
    init: (params) => ({
      params,
      steps: 0,
      squares: Object.fromEntries(flattenTree(params).map(({ path, tensor }) => [path, zeroSquares(tensor)])),
      mean: beta1 === undefined ? undefined : mapTree(params, zeroMoment),
    }),
    step: (state, gradients, { learningRate }) => {
      const steps = state.steps + 1;
      const beta2 = 1 - steps ** decayRate;
      const ownRate = Math.min(warmupInit ? 1e-6 * steps : 1e-2, 1 / Math.sqrt(steps));
      const rate = relativeStep ? learningRate * ownRate : learningRate;
      const widenedGradients = flattenTree(zipTrees((_, g) => widened(g as Tensor), state.params, gradients));
      const means = state.mean && flattenTree(state.mean);
      const results = flattenTree(state.params).map(({ path, tensor }, i) => {
        const p = widened(tensor);
        const { squares, update } = divided(
          widenedGradients[i]?.tensor as Tensor,
          state.squares[path] as MeanSquares,
          tiny,
          beta2,
        );
        const scale = scaleParameter ? rootMeanSquare(p).maximum(leastScale).mul(rate) : rate;
        const change = update.div(rootMeanSquare(update).div(clipThreshold).maximum(1)).mul(scale);
        const old = means?.[i]?.tensor;
        const mean = old === undefined || beta1 === undefined ? change : old.mul(beta1).add(change.mul(1 - beta1));
        const shrunk = weightDecay === 0 ? p : p.sub(p.mul(weightDecay).mul(scale));
        return { path, squares, mean, moved: shrunk.sub(mean) };
      });
      const like = (pick: (result: (typeof results)[number]) => Tensor) =>
        replaceLeaves(state.params, results.map(pick));
      return {
        params: inDtypeOf(
          state.params,
          like(({ moved }) => moved),
        ),
        steps,
        squares: Object.fromEntries(results.map(({ path, squares }) => [path, squares])),
        mean: state.mean && like(({ mean }) => mean),
      };
    },
  };
}
