import { normalizeAxis } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import {
  add,
  div,
  erf,
  exp,
  isFinite,
  lessEqual,
  mul,
  neg,
  sigmoid,
  softplus,
  square,
  sub,
  tanh,
  where,
} from './elementwise.ts';
import { checkFloat, inFloat32 } from './operands.ts';
import { logSumExp, max, sum } from './reductions.ts';
import { stopGradient } from './stopGradient.ts';

/** max(x, 0). The gradient at 0 is 0, and NaN stays NaN, as in PyTorch's `relu`. */
export const relu = (x: Tensor): Tensor => where(lessEqual(x, 0), 0, x);

/** x·σ(x), also called swish (PyTorch's `silu`). */
export const silu = (x: Tensor): Tensor => inFloat32(x, (wide) => mul(wide, sigmoid(wide)));

/** ½·x·(1 + erf(x/√2)): x times the standard normal distribution function (PyTorch's `gelu`). */
export const gelu = (x: Tensor): Tensor =>
  inFloat32(x, (wide) => mul(mul(wide, 0.5), add(erf(mul(wide, Math.SQRT1_2)), 1)));

/** ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) (PyTorch's `gelu` with `approximate='tanh'`). */
export const geluTanh = (x: Tensor): Tensor =>
  inFloat32(x, (wide) => {
    const inner = mul(mul(wide, add(mul(square(wide), 0.044715), 1)), Math.sqrt(2 / Math.PI));
    return mul(mul(wide, 0.5), add(tanh(inner), 1));
  });

/** x·σ(1.702·x), CLIP's approximation of `gelu` (transformers' `quick_gelu`). */
export const quickGelu = (x: Tensor): Tensor => inFloat32(x, (wide) => mul(wide, sigmoid(mul(wide, 1.702))));

/** log σ(x) = −softplus(−x), without overflow (PyTorch's `logsigmoid`). */
export const logSigmoid = (x: Tensor): Tensor => neg(softplus(neg(x)));

/** e^x / Σ e^x along an axis. NaN where all elements are −∞, as in PyTorch's `softmax`. */
export function softmax(x: Tensor, axis = -1): Tensor {
  checkFloat('softmax', x);
  const at = normalizeAxis('softmax', axis, x.rank);
  if (x.size === 0) return x;
  return inFloat32(x, (wide) => {
    // Every shift gives the same result, so the shift needs no gradient.
    const largest = stopGradient(max(wide, at, { keepDims: true }));
    const weights = exp(sub(wide, where(isFinite(largest), largest, 0)));
    return div(weights, sum(weights, at, { keepDims: true }));
  });
}

/** x − log Σ e^x along an axis (PyTorch's `log_softmax`). */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  checkFloat('logSoftmax', x);
  const at = normalizeAxis('logSoftmax', axis, x.rank);
  return inFloat32(x, (wide) => sub(wide, logSumExp(wide, at, { keepDims: true })));
}
