import {
  add,
  broadcastTo,
  cast,
  cos,
  cumsum,
  div,
  equal,
  exp,
  flip,
  gather,
  greater,
  greaterEqual,
  isFinite,
  isFloat,
  isNaN,
  less,
  log,
  logicalAnd,
  logicalNot,
  logicalOr,
  matmul,
  mul,
  neg,
  type Primitive,
  permute,
  pow,
  reciprocal,
  reshape,
  round,
  scatterAdd,
  sigmoid,
  sin,
  split,
  square,
  sub,
  sum,
  type Tensor,
  transpose,
  where,
  zerosLike,
} from '../tensor/index.ts';
import { composedAttentionGradient } from '../tensor/internal.ts';
import { attentionRule } from './attentionRule.ts';
import { convInputGradient, convKernelGradient } from './convRules.ts';
import { padGradient, sliceGradient } from './movementRules.ts';
import type { Rule } from './rule.ts';

/** One rule per primitive. */
export type Rules = { readonly [P in Primitive]: Rule<P> };

const none = (): readonly undefined[] => [];

/** A rule for f(x) from a function of the cotangent, x and f(x). */
const unary = <P extends Primitive>(gradient: (g: Tensor, x: Tensor, y: Tensor) => Tensor): Rule<P> => {
  return ({ cotangent, inputs, output }) => [() => gradient(cotangent, inputs[0] as Tensor, output)];
};

/** A rule for f(a, b) from one function for each input. */
const binary = <P extends Primitive>(
  left: (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor,
  right: (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor,
): Rule<P> => {
  return ({ cotangent, inputs, output }) => {
    const [a, b] = inputs as readonly [Tensor, Tensor];
    return [() => left(cotangent, a, b, output), () => right(cotangent, a, b, output)];
  };
};

/** The gradient of one side of a maximum or minimum: 0 where it loses, g/2 where both tie, else (also for NaN) g. */
const unlessLost = (g: Tensor, loses: Tensor, ties: Tensor): Tensor => where(loses, 0, where(ties, mul(g, 0.5), g));

/** ⌊a/b⌋ computed from the remainder, because a/b may round up to a whole number. */
function floorOfQuotient(a: Tensor, b: Tensor, rest: Tensor): Tensor {
  // The remainder equals the divisor for a tiny negative dividend, by rounding, and may for an infinite divisor.
  const share = where(equal(rest, b), 1, div(rest, b));
  return round(sub(div(a, b), share));
}

/** The axes along which a broadcast repeated its input. */
const repeatedAxes = (input: Tensor, output: Tensor): number[] =>
  input.shape.flatMap((size, axis) => (size !== output.shape[axis] ? [axis] : []));

/**
 * The reverse-mode gradient rules of all primitives. g is the cotangent ∂L/∂y of the output y; each entry gives ∂L/∂input.
 * Conventions at kinks and poles are PyTorch's.
 */
export const rules: Rules = {
  // Sources
  constant: none,
  iota: none,

  // Elementwise, one input
  neg: unary((g) => neg(g)),
  exp: unary((g, _x, y) => mul(g, y)),
  expm1: unary((g, x) => mul(g, exp(x))),
  log: unary((g, x) => div(g, x)),
  log1p: unary((g, x) => div(g, add(x, 1))),
  // Infinite at 0.
  sqrt: unary((g, _x, y) => div(mul(g, 0.5), y)),
  sin: unary((g, x) => mul(g, cos(x))),
  cos: unary((g, x) => neg(mul(g, sin(x)))),
  tanh: unary((g, _x, y) => mul(g, sub(1, square(y)))),
  sigmoid: unary((g, _x, y) => mul(g, mul(y, sub(1, y)))),
  softplus: unary((g, x) => mul(g, sigmoid(x))),
  erf: unary((g, x) => mul(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI)))),
  floor: none,
  cast: ({ cotangent, inputs }) => {
    const { dtype } = inputs[0] as Tensor;
    return [isFloat(dtype) ? () => cast(cotangent, dtype) : undefined];
  },
  isNaN: none,
  isFinite: none,

  // Elementwise, two inputs
  add: binary(
    (g) => g,
    (g) => g,
  ),
  sub: binary(
    (g) => g,
    (g) => neg(g),
  ),
  mul: binary(
    (g, _a, b) => mul(g, b),
    (g, a) => mul(g, a),
  ),
  div: binary(
    (g, _a, b) => div(g, b),
    (g, _a, b, y) => neg(mul(g, div(y, b))),
  ),
  // By a: b·a^(b−1), zero for b = 0 and any a. By b: y·log a, zero at a = 0 for b ≥ 0.
  pow: binary(
    (g, a, b) => {
      // Zero only where 0·a^−1 would be NaN: elsewhere the product stays, for its own derivative by b.
      const flat = logicalAnd(equal(b, 0), logicalNot(isFinite(reciprocal(a))));
      return where(flat, 0, mul(g, mul(b, pow(a, where(flat, 1, sub(b, 1))))));
    },
    (g, a, b, y) => {
      const flat = logicalAnd(equal(a, 0), greaterEqual(b, 0));
      return where(flat, 0, mul(g, mul(y, log(where(flat, 1, a)))));
    },
  ),
  maximum: binary(
    (g, a, b) => unlessLost(g, less(a, b), equal(a, b)),
    (g, a, b) => unlessLost(g, greater(a, b), equal(a, b)),
  ),
  minimum: binary(
    (g, a, b) => unlessLost(g, greater(a, b), equal(a, b)),
    (g, a, b) => unlessLost(g, less(a, b), equal(a, b)),
  ),
  remainder: binary(
    (g) => g,
    (g, a, b, y) => neg(mul(g, floorOfQuotient(a, b, y))),
  ),
  equal: none,
  less: none,
  where: ({ cotangent, inputs }) => {
    const condition = inputs[0] as Tensor;
    return [undefined, () => where(condition, cotangent, 0), () => where(condition, 0, cotangent)];
  },
  threefry: none,

  // Movement
  reshape: ({ cotangent, inputs }) => [() => reshape(cotangent, (inputs[0] as Tensor).shape)],
  permute: ({ cotangent, attributes: { axes } }) => [
    () =>
      permute(
        cotangent,
        axes.map((_, axis) => axes.indexOf(axis)),
      ),
  ],
  broadcastTo: ({ cotangent, inputs, output }) => [
    () => sum(cotangent, repeatedAxes(inputs[0] as Tensor, output), { keepDims: true }),
  ],
  slice: ({ cotangent, inputs, attributes }) => [() => sliceGradient(cotangent, inputs[0] as Tensor, attributes)],
  pad: ({ cotangent, inputs, attributes }) => [() => padGradient(cotangent, inputs[0] as Tensor, attributes)],
  flip: ({ cotangent, attributes: { axes } }) => [() => flip(cotangent, axes)],
  concat: ({ cotangent, inputs, attributes: { axis } }) => {
    const sizes = inputs.map((input) => input.shape[axis] as number);
    return inputs.map((_, i) => () => split(cotangent, sizes, axis)[i] as Tensor);
  },

  // Reductions and scans
  sum: ({ cotangent, inputs }) => [() => broadcastTo(cotangent, (inputs[0] as Tensor).shape)],
  max: ({ cotangent, inputs, output, attributes: { axes } }) => {
    const [x] = inputs as readonly [Tensor];
    return [
      () => {
        // NaN counts as the largest.
        const largest = logicalOr(equal(x, broadcastTo(output, x.shape)), isNaN(x));
        const ties = sum(cast(largest, x.dtype), axes, { keepDims: true });
        return where(largest, broadcastTo(div(cotangent, ties), x.shape), 0);
      },
    ];
  },
  argMax: none,
  cumsum: ({ cotangent, attributes: { axis } }) => [() => flip(cumsum(flip(cotangent, axis), axis), axis)],
  argSort: none,

  // Indexing
  gather: ({ cotangent, inputs, attributes: { axis } }) => {
    const [x, index] = inputs as readonly [Tensor, Tensor];
    return [() => scatterAdd(zerosLike(x), index, cotangent, axis)];
  },
  scatterAdd: ({ cotangent, inputs, attributes: { axis } }) => [
    () => cotangent,
    undefined,
    () => gather(cotangent, inputs[1] as Tensor, axis),
  ],

  // Contractions
  matmul: binary(
    (g, _a, b) => matmul(g, transpose(b)),
    (g, a) => matmul(transpose(a), g),
  ),
  conv: ({ cotangent, inputs, attributes }) => {
    const [x, weight] = inputs as readonly [Tensor, Tensor];
    return [
      () => convInputGradient(cotangent, x, weight, attributes),
      () => convKernelGradient(cotangent, x, weight, attributes),
    ];
  },

  // Attention
  attention: attentionRule,
  attentionGradient: ({ attributes, composed }) =>
    composed((...inputs) => composedAttentionGradient(attributes, ...inputs)),

  // Annotations
  variable: ({ cotangent }) => [() => cotangent],
  barrier: ({ cotangent }) => [() => cotangent],
  // `backward` applies the rule of the call once the cotangents of all its outputs are known.
  custom: none,
};
