import { checkpoint } from '../autograd/index.ts';
import type { Layer } from './layer.ts';

/** A layer whose inner values are computed again in the backward pass instead of kept (Chen et al. 2016). */
export const checkpointed = <Params, Inputs extends readonly unknown[], Output>({
  init,
  apply,
}: Layer<Params, Inputs, Output>): Layer<Params, Inputs, Output> => ({
  init,
  apply: (params, ...inputs) => checkpoint(apply)(params, ...inputs),
});
