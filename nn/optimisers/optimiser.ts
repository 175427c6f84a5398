import { type Tensor, zeros, zipTrees } from '../../tensor/index.ts';
import { widened } from '../trees.ts';

/** What every optimiser's state holds. States are trees, so `realize(next, { donate: state })` updates them in place. */
export interface OptimiserState<P> {
  readonly params: P;
  /** How many steps were made. */
  readonly steps: number;
}

/** Options of an optimiser's step. */
export interface StepOptions {
  readonly learningRate: number;
}

/** An optimiser: a state from parameters, and a pure step from state to state. Learning rates may differ at every step. */
export interface Optimiser<P, S extends OptimiserState<P>> {
  init(params: P): S;
  /** `gradients` is a tree like the parameters. */
  step(state: S, gradients: P, options: StepOptions): S;
}

/** Zeros like a parameter, for moments: f32 where the parameter is a half. */
export const zeroMoment = (x: Tensor): Tensor => zeros(x.shape, { dtype: x.dtype === 'f64' ? 'f64' : 'f32' });

/** Maps over trees of one structure with all tensors in f32 or f64. */
export const zipWide = <P>(f: (...tensors: Tensor[]) => Tensor, tree: P, ...others: readonly unknown[]): P =>
  zipTrees((first, ...rest) => f(widened(first), ...rest.map(widened)), tree, ...others);

/** New parameters in the dtypes of the old ones. */
export const inDtypeOf = <P>(params: P, updated: P): P => zipTrees((p, u) => u.cast(p.dtype), params, updated);
