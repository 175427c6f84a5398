import { mapTree } from '../../tensor/index.ts';
import { widened } from '../trees.ts';
import { inDtypeOf, type Optimiser, type OptimiserState } from './optimiser.ts';

/** The state of `withMasterWeights`. */
export interface MasterWeightsState<P, S> extends OptimiserState<P> {
  /** The state of the optimiser inside, whose parameters are the precise ones. */
  readonly master: S;
}

/**
 * An optimiser for parameters that are stored as halves, which are too coarse to add small updates to: it works on a copy
 * in f32, and the parameters are that copy, rounded.
 */
export function withMasterWeights<P, S extends OptimiserState<P>>(
  optimiser: Optimiser<P, S>,
): Optimiser<P, MasterWeightsState<P, S>> {
  return {
    init: (params) => ({ params, steps: 0, master: optimiser.init(mapTree(params, widened)) }),
    step: ({ params, steps, master }, gradients, options) => {
      const next = optimiser.step(master, gradients, options);
      return { params: inDtypeOf(params, next.params), steps: steps + 1, master: next };
    },
  };
}

/** The parameters in the precision in which they are trained: the copies in f32, where the optimiser keeps some. */
export function preciseParameters<P>(state: OptimiserState<P>): P {
  const { params, master } = state as Partial<MasterWeightsState<P, OptimiserState<P>>> & OptimiserState<P>;
  return master === undefined ? params : preciseParameters(master);
}
