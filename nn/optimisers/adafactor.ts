import { flattenTree, mapTree, replaceLeaves, type Tensor, TensorError, zeros } from '../../tensor/index.ts';
import { widened } from '../trees.ts';
import { inDtypeOf, type Optimiser, type OptimiserState, zeroMoment } from './optimiser.ts';

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
  /** Whether the learning rate is multiplied by the parameter's root mean square; default true, as in transformers. */
  readonly scaleParameter?: boolean;
  /** Whether the learning rate follows from the step (and the one that is given is ignored); default true, as there. */
  readonly relativeStep?: boolean;
  /** Whether such a learning rate grows from almost nothing. */
  readonly warmupInit?: boolean;
}

export interface AdafactorState<P> extends OptimiserState<P> {
  /** Mean squares: for each parameter of two axes or more, over its last axis and over the one before; else itself. */
  readonly squares: readonly (readonly Tensor[])[];
  /** Means of updates, where `beta1` is given. */
  readonly mean: P | undefined;
}

const rootMeanSquare = (x: Tensor): Tensor => x.square().mean().sqrt();

/**
 * Adam with the second moments of matrices kept as a row and a column (Shazeer & Stern 2018), as transformers' Adafactor
 * has it: convolution kernels are factored over their last two axes.
 */
export function adafactor<P>({
  eps: [tiny, leastScale] = [1e-30, 1e-3],
  clipThreshold = 1,
  decayRate = -0.8,
  beta1,
  weightDecay = 0,
  scaleParameter = true,
  relativeStep = true,
  warmupInit = false,
}: AdafactorOptions = {}): Optimiser<P, AdafactorState<P>> {
  if (warmupInit && !relativeStep) throw new TensorError('adafactor: warmupInit needs relativeStep');
  return {
    init: (params) => ({
      params,
      steps: 0,
      squares: flattenTree(params).map(({ tensor }) => {
        const { shape } = tensor;
        const { dtype } = zeroMoment(tensor);
        if (shape.length < 2) return [zeroMoment(tensor)];
        return [zeros(shape.slice(0, -1), { dtype }), zeros([...shape.slice(0, -2), ...shape.slice(-1)], { dtype })];
      }),
      mean: beta1 === undefined ? undefined : mapTree(params, zeroMoment),
    }),
    step: (state, gradients, { learningRate }) => {
      const steps = state.steps + 1;
      const beta2 = 1 - steps ** decayRate;
      const rate = relativeStep ? Math.min(warmupInit ? 1e-6 * steps : 1e-2, 1 / Math.sqrt(steps)) : learningRate;
      const slopes = flattenTree(gradients).map(({ tensor }) => widened(tensor));
      const means = state.mean === undefined ? undefined : flattenTree(state.mean);
      const results = flattenTree(state.params).map(({ tensor }, i) => {
        const p = widened(tensor);
        const g = slopes[i] as Tensor;
        const squared = g.square().add(tiny);
        const decay = (old: Tensor, mean: Tensor) => old.mul(beta2).add(mean.mul(1 - beta2));
        const [first, second] = state.squares[i] as readonly [Tensor, Tensor?];
        let squares: readonly Tensor[];
        let update: Tensor;
        if (second === undefined) {
          squares = [decay(first, squared)];
          update = g.div((squares[0] as Tensor).sqrt());
        } else {
          const rows = decay(first, squared.mean(-1));
          const columns = decay(second, squared.mean(-2));
          squares = [rows, columns];
          const byRow = rows.div(rows.mean(-1, { keepDims: true })).sqrt();
          update = g
            .div(byRow.reshape([...byRow.shape, 1]))
            .div(columns.sqrt().reshape([...columns.shape.slice(0, -1), 1, columns.shape.at(-1) as number]));
        }
        update = update.div(rootMeanSquare(update).div(clipThreshold).maximum(1));
        const scale = scaleParameter ? rootMeanSquare(p).maximum(leastScale).mul(rate) : rate;
        update = update.mul(scale);
        const mean =
          means === undefined || beta1 === undefined
            ? undefined
            : widened(means[i]?.tensor as Tensor)
                .mul(beta1)
                .add(update.mul(1 - beta1));
        const shrunk = weightDecay === 0 ? p : p.sub(p.mul(weightDecay).mul(scale));
        return { moved: shrunk.sub(mean ?? update), squares, mean };
      });
      return {
        params: inDtypeOf(
          state.params,
          replaceLeaves(
            state.params,
            results.map(({ moved }) => moved),
          ),
        ),
        steps,
        squares: results.map(({ squares }) => squares),
        mean:
          state.mean &&
          replaceLeaves(
            state.mean,
            results.map(({ mean }) => mean as Tensor),
          ),
      };
    },
  };
}
