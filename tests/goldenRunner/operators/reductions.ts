import * as t from '../../../tensor/index.ts';
import type { Params } from '../params.ts';
import type { Adapter, Adapters } from './adapter.ts';
import { unary } from './elementwise.ts';

type Reduction = (x: t.Tensor, axes: number[] | undefined, options: { keepDims: boolean }) => t.Tensor;

const keepDims = (params: Params): { keepDims: boolean } => ({
  keepDims: params.boolean(params.either('keepdim', 'keepdims'), false),
});

const reduction = (f: Reduction): Adapter => unary((x, params) => f(x, params.axes(), keepDims(params)));

const alongAxis = (f: (x: t.Tensor, axis: number) => t.Tensor, fallback?: number): Adapter =>
  unary((x, params) => f(x, params.axis(fallback)));

/** What is taken from the number of elements before dividing by it; PyTorch's default is the unbiased estimate. */
function correction(params: Params): number {
  if (params.has('correction')) return params.number('correction');
  return params.boolean('unbiased', true) ? 1 : 0;
}

export const reductions: Adapters = {
  sum: reduction(t.sum),
  mean: reduction(t.mean),
  max: reduction(t.max),
  amax: reduction(t.max),
  min: reduction(t.min),
  amin: reduction(t.min),
  logsumexp: reduction(t.logSumExp),
  var: unary((x, params) => t.variance(x, params.axes(), { correction: correction(params), ...keepDims(params) })),
  argmax: unary((x, params) => t.argMax(x, params.axis(), keepDims(params))),
  argmin: unary((x, params) => t.argMin(x, params.axis(), keepDims(params))),
  cumsum: alongAxis(t.cumsum),
  softmax: alongAxis(t.softmax),
  log_softmax: alongAxis(t.logSoftmax),
};
